"""Train and measure one trial, with or without Ray around it: the same numbers either way."""

import logging
import math
import re
import resource
import socket
import time
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from harness.datasets import Dataset
from harness.ledger.folder import EXHIBITS, TrialFolder, read_checkpoint
from harness.ledger.result import Result, Row, drop_nonfinite
from harness.ledger.trial import Trial
from harness.metrics import EVALUATION_METRICS, Measures, evaluation_of
from harness.storage.local import write_atomically
from harness.worker.evaluator import Evaluator, make_noise
from harness.worker.images import Images
from models.measures.bounds import compute_bound
from models.training.fit import fit
from models.training.state import TrainState, init_state
from models.training.trainer import DivergedError, EpochMetrics


def run_trial(
    trial: Trial, measures: Measures, dataset: Dataset, study_folder: Path, *, device: str = "cpu"
) -> Generator[Row]:
    """Train what is missing of a trial and measure it, yielding the metrics of every epoch, stored ones first.

    The last row holds the final metrics too, and `status`: finished, diverged or failed. Once it has been yielded the
    trial's folder holds its result. A trial that is to pause has the status paused instead, and no result. Errors of
    training end the trial, not the caller; they stand in the log.
    """
    _forget_peak_memory(device)
    with TrialRun(trial, measures, study_folder, device) as run:
        try:
            images = Images.of(dataset, trial.settings.num_validation, device)
            state = run.restore(images)
            yield from run.list_stored()
            last = run.conclude(state, images)
            epochs = fit(state, run.settings, images.train)
            try:
                while last is None:
                    row = run.add_epoch(state, next(epochs), images)
                    last = run.conclude(state, images)
                    if last is None:
                        yield row
            except GeneratorExit:
                run.leave(state)
                raise
            yield last
        except Exception as error:
            yield run.fail(error)


class TrialRun:
    """One trial's history, measurements and files while something trains it."""

    def __init__(self, trial: Trial, measures: Measures, study_folder: Path, device: str) -> None:
        self.trial, self.measures, self.device = trial, measures, device
        self.settings = replace(trial.settings, **dict[str, Any](trial.current))
        self._goal = trial.until or trial.settings.epochs
        self.folder = TrialFolder(study_folder, trial)
        self.history: list[Row] = []
        self.metrics: dict[str, float] = {}
        self._evaluated: list[str] = []  # what `metrics` holds, also where a later measure fails
        self._num_stored = 0  # epochs that the newest checkpoint holds
        self._taken_from: Path | None = None  # where another study keeps the very state that this trial ends with
        self.log = logging.Logger("spikeslab.no-trial", logging.CRITICAL + 1)  # until there is a file
        self._until_end = ExitStack()

    def __enter__(self) -> Self:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        for torn in self.folder.path.glob(".*.safetensors"):  # what a kill left of a state that was being written
            torn.unlink(missing_ok=True)
        self.log = self._until_end.enter_context(_trial_log(self.folder.log))
        return self

    def __exit__(self, *_: object) -> None:
        self._until_end.close()

    def restore(self, images: Images) -> TrainState:
        """The state to go on from: the stored one, or that before the first step."""
        num_pixels = images.train.shape[1]
        state = self._read_checkpoint(init_state(self.settings, num_pixels, self.device), num_pixels)
        self.log.info("%s on %s, %d epochs, from epoch %d", self.trial.label, self.trial.dataset,
                      self.settings.epochs, state.epoch)  # fmt: skip
        return state

    def list_stored(self) -> list[Row]:
        """The epochs trained before, but for the one at which the trial ends or pauses, which says so."""
        return self.history[: self._goal - 1]

    def add_epoch(self, state: TrainState, epoch: EpochMetrics, images: Images) -> Row:
        """Measure the state after an epoch, note it, and store it where one is due.

        Raises:
            DivergedError: the epoch's last step made the model useless.
        """
        row = self._measure_epoch(state, epoch, images)
        self.log.info(" ".join(f"{k} {v:.6g}" for k, v in row.items() if v is not None))
        self.history.append(row)
        if len(self.history) == self._goal or state.epoch % self.measures.checkpoint_every == 0:
            self._store(state)
        return row

    def conclude(self, state: TrainState, images: Images) -> Row | None:
        """The last row, if the trial has come to its end, with the final metrics, or to where it is to pause."""
        if len(self.history) < self._goal:
            return None
        if self.trial.until is not None and self.trial.until < self.settings.epochs:
            return self.history[-1] | {"status": "paused"}  # type: ignore[return-value]
        self._measure(state, images)
        return self.history[-1] | self._end("finished")

    def leave(self, state: TrainState) -> None:
        """Keep what has been trained of a trial that a scheduler or the user has stopped."""
        if len(self.history) > self._num_stored:
            try:
                self._store(state)
            except OSError as error:  # the trial is over; the next run trains these epochs again
                self.log.warning("not stored: %s", error)

    def _store(self, state: TrainState) -> None:
        self.folder.write_checkpoint(state.tensors(), self.history)
        self._num_stored = len(self.history)

    def fail(self, error: Exception) -> Row:
        """The row that says how an error of training ended the trial."""
        if isinstance(error, DivergedError):
            return self._end("diverged", error=str(error))
        self.log.error("failed\n%s", "".join(traceback.format_exception(error)))
        return self._end("failed", error=f"{type(error).__name__}: {error}")

    def _read_checkpoint(self, state: TrainState, num_pixels: int) -> TrainState:
        for path in self.folder.list_states():
            try:
                tensors, history = read_checkpoint(path)
                state.load(tensors, epoch=len(history), step=int(history[-1]["step"] or 0))
            except ValueError as error:
                self.log.warning("%s: the trial goes on from an earlier state", error)
                state = init_state(self.settings, num_pixels, self.device)
                continue
            self.history, self._num_stored = history, len(history)
            self.log.info("resumed from its checkpoint after epoch %d", state.epoch)
            if path.parent != self.folder.path:
                self.log.info("which another study trained: %s", path)
                self._store(state)
                self._taken_from = path.parent if len(history) == self._goal else None
            break
        return state

    def _measure_epoch(self, state: TrainState, epoch: EpochMetrics, images: Images) -> Row:
        row: Row = {
            "epoch": epoch.epoch,
            "step": state.step,
            "train/loss": epoch.loss,
            "train/rate": epoch.rate,
            "train/distortion": epoch.distortion,
            "sharpness": epoch.sharpness,
            "seconds": epoch.seconds,
            **{f"pbt/{name}": value for name, value in self.trial.current.items()},
        }
        # Where images are held out to choose settings on, the test images wait for the end of the trial.
        split, unseen = ("test", images.test) if images.validation is None else ("val", images.validation)
        noise = partial(make_noise, self.settings.seed, epoch=epoch.epoch, device=self.device)
        bound = compute_bound(state.model, unseen, noise(f"{split}/loss"), sharpness=epoch.sharpness)
        loss = float(self.settings.beta * bound.rate + bound.distortion)
        if not math.isfinite(loss):  # the epoch's last step made it so
            raise DivergedError(epoch.epoch, state.step)
        row[f"{split}/loss"] = loss
        if images.validation is not None:
            bound = compute_bound(state.model, images.validation, noise("val/elbo"))
            row |= {
                "val/elbo": -float(bound.rate + bound.distortion),
                "val/rate": float(bound.rate),
                "val/distortion": float(bound.distortion),
                "val/nonzero_fraction": float(bound.nonzero_fraction),
            }
        return drop_nonfinite(row)

    def _measure(self, state: TrainState, images: Images) -> None:
        """The final metrics: those measured before, here or where the state was taken from, and those missing."""
        known: dict[str, Mapping[str, float]] = {}
        for result in self.folder.read_measured(self._taken_from):
            for name in result.evaluated:
                known.setdefault(name, result.metrics)
        evaluator = Evaluator(state.model, images, self.measures, self.settings.seed)
        for name in sorted(self.measures.evaluated, key=lambda name: name not in known):  # what may fail comes last
            evaluation = evaluation_of(name)
            metrics = known[name] if name in known else drop_nonfinite(evaluator.evaluate(evaluation))
            self.metrics |= {key: metrics[key] for key in EVALUATION_METRICS[evaluation] if key in metrics}
            self._evaluated.append(name)
        if EXHIBITS in self.measures.evaluate and not self.folder.exhibits.exists():
            arrays = evaluator.make_exhibits()
            write_atomically(self.folder.exhibits, lambda path: np.savez_compressed(path, allow_pickle=False, **arrays))

    def _end(self, status: str, error: str | None = None) -> Row:
        """Write the result; returns the fields that tell the driver of it."""
        result = Result(
            status=status,  # type: ignore[arg-type]
            history=self.history,
            metrics=self.metrics,
            evaluated=self._evaluated,
            error=error,
            peak_memory_mb=_peak_memory_mb(self.device),
            device=describe_device(self.device),
            host=socket.gethostname(),
        )
        self.folder.write_result(result)
        self.log.info("%s%s", status, f": {error}" if error else "")
        return {"status": status, "error": error, **self.metrics}  # type: ignore[dict-item]


def _forget_peak_memory(device: str) -> None:
    """Begin anew: a process trains one trial after another."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # where the system has no such file, the peak is that of all its trials
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory_mb(device: str) -> float:
    """Most memory used so far: on a card, by this process there; else the process itself."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e6
    with suppress(OSError):
        if peak := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")):
            return int(peak[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@contextmanager
def _trial_log(path: Path) -> Iterator[logging.Logger]:
    """A logger that appends to the trial's own file and nowhere else."""
    handler = logging.FileHandler(path, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.Logger(f"spikeslab.trial.{path.parent.name}", logging.INFO)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def describe_device(device: Any) -> str:
    """The device in words: the card's name, or cpu."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
