"""Run a study: train what is missing, under Ray Tune, and keep tables and MLflow up to date as it goes."""

import errno
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from harness.cluster import check_address, quieten_ray
from harness.datasets import Dataset, load_dataset
from harness.errors import InputError
from harness.files import check_writable, locked, write_text_atomically
from harness.ledger import Result, Row, Status, Trial, TrialFolder
from harness.progress import Progress
from harness.provenance import PROVENANCE_FILE, adopt_provenance, record_provenance
from harness.search import HISTORY_FILE, Source, count_epochs_to_train, is_open, make_source
from harness.study import Study
from harness.tables import build_tables, write_tables
from harness.tracking import Tracker

PARENT_FILES = ("study.yaml", "resolved.json", PROVENANCE_FILE, HISTORY_FILE)
"""Of a study's folder, kept with its parent run."""

TABLE_SECONDS = 10.0  # between two writings of the tables while a study runs


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    num_trials: int
    num_done: int
    num_failed: int  # diverged, or ended by an error
    num_trained: int  # in this run
    num_epochs: int  # that were trained for that, in all
    interrupted: bool
    seconds: float
    startup_seconds: float


def run_study(
    study: Study,
    study_text: str,
    *,
    results: Path,
    console: Console,
    data_dir: Path | None = None,
    address: str | None = None,
    draw: Callable[[Path], list[Path]] = lambda _: [],
) -> Outcome:
    """Train what is missing of a study, then write its tables and draw its figures.

    results: the folder that holds a folder for each study. draw: given the study's folder, once its tables are
    written; returns the figures, which are stored with the parent run.

    Raises:
        InputError: a dataset is missing, the results folder cannot be written to, the study runs already.
    """
    folder = results.absolute() / study.name
    check_address(address)
    dataset = load_dataset(study.dataset, data_dir)
    check_writable(folder, 0)
    refusal = f"{folder}: study {study.name} is being run by another process; wait for it, or stop it"
    with locked(folder / ".lock", refusal=refusal):
        source = make_source(study, dataset, folder)
        check_writable(folder, _estimate_bytes(source, folder, dataset))
        write_text_atomically(folder / "study.yaml", study_text)
        _write_resolved(folder, study, source)
        run = StudyRun(study, source, folder, dataset, console)
        return run.run(address, draw)


class StudyRun:
    """The driver's side of a running study: what Tune's callback and the source of trials share."""

    def __init__(self, study: Study, source: Source, folder: Path, dataset: Dataset, console: Console) -> None:
        self.study, self.source, self.folder = study, source, folder
        self.dataset, self.console = dataset, console
        self._tags = {"dataset": dataset.name, "dataset.sha256": dataset.content_hash}
        self.started = time.monotonic()
        self.results: dict[str, Result] = {}
        self.earlier: dict[str, Result] = {}  # of trials that run again: how they had ended, until they end anew
        self.running: dict[str, Trial] = {}
        self.seen: dict[str, int] = {}  # trial_id -> epochs that its checkpoint held when it was begun
        self.paused: set[str] = set()
        self.num_trained = 0
        self.num_epochs = 0
        self.startup_seconds = 0.0  # until the first epoch was reported
        self.interrupted = False  # by the user; what is running then is neither stopped nor failed
        self.disk_full = False
        self._tables_at = self.started
        for trial in source.trials:
            if (result := TrialFolder(folder, trial).read_result()) is not None:
                self.results[trial.trial_id] = result
        self.tracker = Tracker(study.name, folder.parent, self._tags)
        for trial in source.trials:
            if trial.trial_id in self.results:
                self.tracker.update(trial, self.results[trial.trial_id])
        self.progress = Progress(
            console,
            num_trials=source.num_trials,
            num_done=len(source.trials) - len(self._list_open()),
            metric=study.metric,
            mode=study.mode,
        )

    def _list_open(self) -> list[Trial]:
        """The trials known so far that still have to run."""
        return [t for t in self.source.trials if is_open(self.study, t, self.results.get(t.trial_id))]

    def run(self, address: str | None, draw: Callable[[Path], list[Path]]) -> Outcome:
        """Train what is open, then write the tables, draw the figures and end the parent run."""
        first = self.source.next()
        if first is not None:
            record_provenance(self.folder, self._tags)
            self.progress.set_epochs_left(self._count_epochs_left(first))
            with self.progress:
                quieten_ray()
                from harness.tune_run import run_tune

                run_tune(self, first, address)
        if self.disk_full:
            raise InputError(
                f"{self.folder}: {os.strerror(errno.ENOSPC).lower()}; free some space and run the study again"
            )
        self.tracker.flush()
        _write_resolved(self.folder, self.study, self.source)
        self._take_in_what_is_stored()
        for trial in self.source.trials:  # whose last state may have been stored after it was sent
            if (result := self.results.get(trial.trial_id)) is not None and result.status == "stopped":
                self.tracker.update(trial, result)
        self.tracker.flush()
        tables = self.write_tables()
        figures = draw(self.folder)
        unsent = self.tracker.close(
            "KILLED" if self.interrupted else "FINISHED",
            artifacts={
                None: [path for name in PARENT_FILES if (path := self.folder / name).exists()],
                "tables": tables,
                "figures": figures,
            },
            interrupted=[trial_id for trial_id, result in self.results.items() if result.status == "running"],
        )
        if self.tracker.problem:
            self.console.print(
                f"MLflow lacks {f'{unsent} trials' if unsent else 'some files'} of this study "
                f"({self.tracker.problem}). Nothing is lost: run it again, or `spikeslab collect {self.study.name}`, "
                "to send the rest."
            )
        results = [self.results.get(trial.trial_id) for trial in self.source.trials]
        return Outcome(
            num_trials=self.source.num_trials,
            num_done=sum(r is not None and r.status in ("finished", "stopped") for r in results),
            num_failed=sum(r is not None and r.status in ("failed", "diverged") for r in results),
            num_trained=self.num_trained,
            num_epochs=self.num_epochs,
            interrupted=self.interrupted,
            seconds=time.monotonic() - self.started,
            startup_seconds=self.startup_seconds,
        )

    def _take_in_what_is_stored(self) -> None:
        """Results of trials that the source has come to know of and that had ended before."""
        for trial in self.source.trials:
            if trial.trial_id not in self.results:
                result = TrialFolder(self.folder, trial).read_result()
                if result is not None:
                    self.results[trial.trial_id] = result
                    self.tracker.update(trial, result)

    def _count_epochs_left(self, first: Trial) -> int:
        planned = sum(count_epochs_to_train(self._list_open(), self.folder).values())
        unknown = self.source.num_trials - len(self.source.trials)
        return planned + unknown * first.settings.epochs

    @property
    def is_stopping(self) -> bool:
        """Whether no more is to be trained in this run."""
        return self.interrupted or self.disk_full

    def request_stop(self) -> None:
        """Ask Tune to end, at the user's wish: no more trials, and those that run go on another time."""
        self.interrupted = True

    # What follows is called by Tune's callback, in the main thread.

    def begin(self, trial: Trial) -> None:
        """A trial's process starts on it, for the first time or again after a crash."""
        is_again = trial.trial_id in self.running
        self.running[trial.trial_id] = trial
        own = TrialFolder(self.folder, trial)
        state, epochs = own.find_state()
        self.seen[trial.trial_id] = len(epochs)
        if state is not None and state.parent != own.path:  # another study trained it
            adopt_provenance(self.folder, state.parents[2])
        if (before := self.results.get(trial.trial_id)) is not None and before.status != "running":
            self.earlier[trial.trial_id] = before
        self.results[trial.trial_id] = Result(status="running")
        if not is_again:
            self.progress.start_trial()

    def add_row(self, trial: Trial, row: Row) -> None:
        """One epoch of a trial; the last one says how it ended."""
        self.startup_seconds = self.startup_seconds or time.monotonic() - self.started
        before = self.results[trial.trial_id]
        if str(row.get("status")) == "paused":
            self.paused.add(trial.trial_id)
            row = {name: value for name, value in row.items() if name != "status"}
        elif "status" in row:
            result = TrialFolder(self.folder, trial).read_result()
            assert result is not None, "a trial writes its result before it says that it has ended"
            self._set_ended(trial, result)
            if "epoch" in row:
                self._count_epoch(trial, row)
            return
        result = Result(status="running", history=[*before.history, row])
        self.results[trial.trial_id] = result
        self._count_epoch(trial, row)
        self.tracker.update(trial, result)
        if time.monotonic() - self._tables_at > TABLE_SECONDS:
            with self._noticing_a_full_disk():
                self.write_tables()

    def _count_epoch(self, trial: Trial, row: Row) -> None:
        value = row.get(self.study.metric)
        is_new = int(row["epoch"] or 0) > self.seen[trial.trial_id]
        self.num_epochs += is_new
        self.progress.add_epoch(float(value) if value is not None else None, is_new=is_new)

    def end(self, trial: Trial, error: str | None = None) -> None:
        """A trial ended: by itself, by the scheduler, or, with an error, because its process kept dying."""
        if error is not None and trial.trial_id not in self.running:  # its process died before it could begin
            self.begin(trial)
        if self.interrupted and self.results[trial.trial_id].status == "running":
            return
        if self.running.pop(trial.trial_id, None) is None:
            return
        result = self.results[trial.trial_id]
        if trial.trial_id in self.paused:
            self.paused.discard(trial.trial_id)
            self.source.tell(trial, result)
            self.progress.pause_trial()
            return
        if result.status == "running":
            before = self.earlier.get(trial.trial_id, result)  # what had been measured stays
            history = max(before.history, result.history, key=len)
            status: Status = "stopped" if error is None else "failed"
            result = replace(before, status=status, history=history, error=error)
            with self._noticing_a_full_disk():
                TrialFolder(self.folder, trial).write_result(result)
            self._set_ended(trial, result)
        if result.error and os.strerror(errno.ENOSPC) in result.error:
            self.disk_full = True
        self.num_trained += 1
        self.source.tell(trial, result)
        self.tracker.update(trial, result)
        self.progress.set_num_trials(self.source.num_trials)
        self.progress.end_trial(
            failed=result.status in ("failed", "diverged"),
            epochs_skipped=trial.settings.epochs - result.epochs_trained,
        )

    def _set_ended(self, trial: Trial, result: Result) -> None:
        self.results[trial.trial_id] = result
        self.earlier.pop(trial.trial_id, None)

    @contextmanager
    def _noticing_a_full_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.disk_full = True

    def write_tables(self) -> list[Path]:
        """The tables as things stand."""
        self._take_in_what_is_stored()
        results = self.results | self.earlier
        known = ((t, results[t.trial_id]) for t in self.source.trials if t.trial_id in results)
        paths = write_tables(self.folder, build_tables(self.study, known, self.tracker.run_ids))
        self._tables_at = time.monotonic()
        return paths


def _estimate_bytes(source: Source, folder: Path, dataset: Dataset) -> int:
    """Disk space of the checkpoints still to be written: in the trials' folders, and again in MLflow."""
    num_pixels = dataset.train_images[0].size
    total = 0
    for trial in source.trials:
        if TrialFolder(folder, trial).list_checkpoints():
            continue
        s = trial.settings
        widths = [num_pixels, *s.hidden, 3 * s.latent_dim]
        encoder = sum((a + 1) * b for a, b in itertools.pairwise(widths))
        total += 2 * (2 * encoder) * 3 * 4  # twice stored; decoder as large; parameters and two moments; float32
    return total


def _write_resolved(folder: Path, study: Study, source: Source) -> None:
    """Every setting of every trial known so far, with nothing left to defaults."""
    resolved = {
        "study": study.model_dump(mode="json"),
        "trials": [{"trial_id": t.trial_id, "settings": t.settings.to_dict()} for t in source.trials],
    }
    write_text_atomically(folder / "resolved.json", json.dumps(resolved, indent=1))
