"""Train and measure one trial, with or without Ray around it: the same numbers either way."""

import logging
import math
import socket
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from harness.datasets import Dataset
from harness.ledger.result import Ended, Epoch, Event, Paused, Result, Row, Status, TakenOver, drop_nonfinite, find_end
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint, read_lender
from harness.metrics import ARRAY_EVALUATIONS, EVALUATION_METRICS, Evaluation, Measures, evaluation_of
from harness.storage.log_file import LogFile
from harness.storage.objects import PlaceError
from harness.storage.place import HERE, Place
from harness.worker.evaluator import Evaluator, make_noise
from harness.worker.images import Images
from harness.worker.memory import MemoryShortageError
from models.choices import ImageShape
from models.measures.bounds import compute_bound, compute_loss
from models.numerics.machine import forget_peak_memory, is_out_of_memory, read_peak_memory
from models.training.fit import fit
from models.training.state import TrainState, init_state
from models.training.trainer import DivergedError, EpochMetrics


def run_trial(
    trial: Trial,
    measures: Measures,
    dataset: Dataset,
    study_folder: Path,
    *,
    device: str = "cpu",
    place: Place = HERE,
) -> Generator[Event]:
    """Train what is missing of a trial and measure it, yielding an event for every epoch, stored ones first.

    place: keeps the results, where the folder is only this machine's.

    The last event is the trial's end, whose result has been stored by then, or its pause, which has no result. Errors
    in training end the trial and are not raised, but for those of which `TrialRun.fail` tells; their traceback is in
    the trial's log.
    """
    forget_peak_memory(device)
    with TrialRun(trial, measures, study_folder, device, place) as run:
        try:
            is_binary = trial.settings.binarisation != "none"
            images = Images.of(dataset, trial.settings.num_validation, device, is_binary=is_binary)
            state = run.restore(images)
            yield from run.list_stored()
            last = run.conclude(state, images)
            epochs = fit(state, run.settings, images.train)
            try:
                while last is None:
                    epoch = run.add_epoch(state, next(epochs), images)
                    last = run.conclude(state, images)
                    if last is None:
                        yield epoch
            except GeneratorExit:
                run.leave(state)
                raise
            yield last
        except Exception as error:
            yield run.fail(error)


class TrialRun:
    """The history, measurements and files of a trial while it trains."""

    def __init__(self, trial: Trial, measures: Measures, study_folder: Path, device: str, place: Place = HERE) -> None:
        self.trial, self.measures, self.device = trial, measures, device
        self.settings = replace(trial.settings, **dict[str, Any](trial.current))
        self._goal = trial.until or trial.settings.epochs
        self.folder = TrialFolder(study_folder, trial, place)
        self.history: list[Row] = []
        self.metrics: dict[str, float] = {}
        self._evaluated: list[str] = []  # the evaluations that `metrics` holds, even if a later one fails
        self._num_stored = 0  # epochs that the newest checkpoint holds
        self._restored_from: Path | None = None  # the folder, of this study or another, that had the last state
        self._taken_over: TakenOver | None = None
        self.log = logging.Logger("spikeslab.no-trial", logging.CRITICAL + 1)  # until the log file is open
        self._until_end = ExitStack()
        self._taken_up, self._spent_before = time.monotonic(), 0.0  # by this process; seconds, in this study, by others
        self._began = time.time()

    def __enter__(self) -> Self:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.folder.fetch()
        self._began = self.folder.read_beginning() or self._began
        for torn in self.folder.path.glob(".*.safetensors"):  # left by a process that was killed while writing a state
            torn.unlink(missing_ok=True)
        self.log = self._until_end.enter_context(_trial_log(self.folder.log))
        return self

    def __exit__(self, *_: object) -> None:
        self._until_end.close()
        with suppress(PlaceError):  # its log is the least of what it left
            self.folder.share_log()
        self.folder.clear()

    def restore(self, images: Images) -> TrainState:
        """Restore the newest stored state; without one, initialise the model.

        Raises:
            PlaceError: a stored state cannot be read just now; without it, all would be trained and stored again.
        """
        self.folder.note_beginning(self._began)
        state = self._read_checkpoint(images.shape)
        self.log.info("%s on %s, %d epochs, from epoch %d", self.trial.label, self.trial.dataset,
                      self.settings.epochs, state.epoch)  # fmt: skip
        return state

    def list_stored(self) -> list[Epoch]:
        """List the epochs trained before, except the trial's last one, which its end or pause includes."""
        return [Epoch(row, self._taken_over) for row in self.history[: self._goal - 1]]

    def add_epoch(self, state: TrainState, epoch: EpochMetrics, images: Images) -> Epoch:
        """Measure the state after an epoch, add it to the history, and store it where a checkpoint is due.

        Raises:
            DivergedError: the epoch's last step made the model useless.
        """
        row = self._measure_epoch(state, epoch, images)
        self.log.info(" ".join(f"{k} {v:.6g}" for k, v in row.items() if v is not None))
        self.history.append(row)
        if len(self.history) == self._goal or state.epoch % self.measures.checkpoint_every == 0:
            self._store(state)
        return Epoch(row)

    def conclude(self, state: TrainState, images: Images) -> Paused | Ended | None:
        """Measure and end the trial, or pause it, if it has trained far enough; otherwise return None."""
        if len(self.history) < self._goal:
            return None
        if self.trial.until is not None and self.trial.until < self.settings.epochs:
            return Paused(self.history[-1])
        self._measure(state, images)
        return self._end("finished")

    def leave(self, state: TrainState) -> None:
        """Store the state of a trial that a scheduler or the user has stopped."""
        if len(self.history) > self._num_stored:
            try:
                self._store(state)
            except OSError as error:  # the trial is over; the next run trains these epochs again
                self.log.warning("not stored: %s", error)

    def _store(self, state: TrainState) -> None:
        self.folder.write_checkpoint(
            state.tensors(), self.history, lender=self._taken_over.study if self._taken_over else None
        )
        self._num_stored = len(self.history)
        self.folder.share_log()

    def fail(self, error: Exception) -> Ended:
        """End the trial because of an error in training; an earlier result of more epochs keeps them and its metrics.

        Raises:
            PlaceError: the place of the results does not answer, which says nothing of the trial: it can run again.
            MemoryShortageError: so it can where there is more memory. What was measured before is stored.
        """
        if isinstance(error, PlaceError):
            raise error
        if isinstance(error, DivergedError):
            return self._end("diverged", error=str(error))
        self.log.error("failed\n%s", "".join(traceback.format_exception(error)))
        message = f"{type(error).__name__}: {error}"
        before = self.folder.read_result()
        if before is not None and before.epochs_trained > len(self.history):  # as it is before a state is restored
            kept = replace(before, status="failed", error=message, stopped_by=None)
            ended = self._write(replace(kept, host=socket.gethostname(), ended=find_end(kept.began)))
        else:
            ended = self._end("failed", error=message)
        if is_out_of_memory(error):
            raise MemoryShortageError(1) from error
        return ended

    def _read_checkpoint(self, image_shape: ImageShape) -> TrainState:
        state = init_state(self.settings, image_shape, self.device)
        for path in self.folder.list_states():
            try:
                tensors, history = read_checkpoint(path)
                state.load(tensors, epoch=len(history), step=int(history[-1]["step"] or 0))
            except ValueError as error:
                self.log.warning("%s: the trial resumes from an earlier state", error)
                state = init_state(self.settings, image_shape, self.device)
                continue
            except OSError as error:
                reason = error.strerror or error
                if path.parent != self.folder.path:  # another study's, which may be another user's
                    self.log.warning("%s: cannot be read (%s)", path, reason)
                    continue
                raise PlaceError(
                    f"{path}: cannot be read just now ({reason}); see to its disk and run again"
                ) from error
            self.history, self._num_stored = history, len(history)
            self._restored_from = path.parent if len(history) == self._goal else None
            self.log.info("resumed from its checkpoint after epoch %d", state.epoch)
            is_lent = path.parent != self.folder.path
            # The driver, which may list others' states at another time, learns it from here alone. A process that dies
            # before it tells leaves it with the state, to the next one.
            lender = path.parents[2].name if is_lent else read_lender(path)
            self._taken_over = TakenOver(lender, len(history)) if lender is not None else None
            if is_lent:
                self.log.info("which another study trained: %s", path)
                self._store(state)
            else:
                self._spent_before = sum(float(row["seconds"] or 0) for row in history)
            break
        return state

    def _measure_epoch(self, state: TrainState, epoch: EpochMetrics, images: Images) -> Row:
        row: Row = {
            "epoch": epoch.epoch,
            "step": state.step,
            "train/loss": epoch.loss,
            "train/rate": epoch.rate,
            "train/distortion": epoch.distortion,
            **{f"train/{name}": value for name, value in epoch.added.items()},
            "sharpness": epoch.sharpness,
            "seconds": epoch.seconds,
            **{f"pbt/{name}": value for name, value in self.trial.current.items()},
        }
        # If images are held out to choose settings, the test images are not used before the end of the trial.
        split, unseen = ("test", images.test) if images.validation is None else ("val", images.validation)
        noise = partial(make_noise, self.settings.seed, epoch=epoch.epoch, device=self.device)
        generator = noise(f"{split}/loss")
        at: dict[str, Any] = {"sharpness": epoch.sharpness, "step": state.step}
        loss = compute_loss(state.model, state.objective, unseen, generator, **at)
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
        """Collect the final metrics: those that were measured of this very state before, and the others."""
        source = self._restored_from
        before = self.folder.read_measured(source, self.history) if source is not None else None
        known = dict.fromkeys(before.evaluated, before.metrics) if before is not None else {}
        evaluator = Evaluator(state.model, images, self.measures, self.settings, self.log.info)
        for name in sorted(self.measures.evaluated, key=lambda name: name not in known):  # what may fail comes last
            evaluation = evaluation_of(name)
            if name not in known:
                self.log.info("measures %s", evaluation)
            metrics = known[name] if name in known else drop_nonfinite(evaluator.evaluate(evaluation))
            self.metrics |= {key: metrics[key] for key in EVALUATION_METRICS[evaluation] if key in metrics}
            # Arrays stay with their study: another study that measured the same has some of its own.
            if evaluation in ARRAY_EVALUATIONS and (name not in known or not self.folder.arrays[evaluation].exists()):
                self._store_arrays(evaluation, evaluator)
            self._evaluated.append(name)

    def _store_arrays(self, evaluation: Evaluation, evaluator: Evaluator) -> None:
        arrays = evaluator.make_arrays(evaluation)
        self.folder.store_arrays(evaluation, lambda path: np.savez_compressed(path, allow_pickle=False, **arrays))

    def _end(self, status: Status, error: str | None = None) -> Ended:
        result = Result(
            status=status,
            history=self.history,
            metrics=self.metrics,
            evaluated=self._evaluated,
            error=error,
            peak_memory_mb=read_peak_memory(self.device) / 1e6,
            device=describe_device(self.device),
            host=socket.gethostname(),
            began=self._began,
            ended=find_end(self._began),
            spent=time.monotonic() - self._taken_up + self._spent_before,
        )
        return self._write(result)

    def _write(self, result: Result) -> Ended:
        self.folder.write_result(result)
        self.log.info("%s%s", result.status, f": {result.error}" if result.error else "")
        return Ended(result, self._taken_over)


@contextmanager
def _trial_log(path: Path) -> Iterator[logging.Logger]:
    """Make a logger that appends to the trial's own file and nowhere else."""
    handler = LogFile(path, encoding="utf-8")
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
    """Describe the device: the card's name, or cpu."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
