"""Run a study: train what is missing, under Ray Tune, and keep tables and MLflow up to date as it goes."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.datasets import Dataset
from harness.ledger.folder import TrialFolder
from harness.ledger.provenance import adopt_provenance
from harness.ledger.result import Ended, Event, Paused, Result, Row, Status
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial import Trial
from harness.progress import Progress
from harness.search.listed import count_epochs_to_train
from harness.search.source import Source, is_open
from harness.study import Study
from harness.tracking.tracker import Tracker

TABLE_SECONDS = 10.0  # between two writings of the tables while a study runs


class StudyRun:
    """The driver's side of a running study: what Tune's callback and the source of trials share."""

    def __init__(self, study: Study, source: Source, folder: Path, dataset: Dataset, console: Console) -> None:
        self.study, self.source, self.folder = study, source, folder
        self.dataset, self.console = dataset, console
        self.tags = {"dataset": dataset.name, "dataset.sha256": dataset.content_hash}
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
        self.tracker = Tracker(study.name, folder.parent, self.tags)
        for trial in source.trials:
            if trial.trial_id in self.results:
                self.tracker.update(trial, self.results[trial.trial_id])
        self.progress = Progress(
            console,
            num_trials=source.num_trials,
            num_done=len(source.trials) - len(self.list_open()),
            metric=study.metric,
            mode=study.mode,
        )

    def list_open(self) -> list[Trial]:
        """The trials known so far that still have to run."""
        return [t for t in self.source.trials if is_open(self.study, t, self.results.get(t.trial_id))]

    def take_in_what_is_stored(self) -> None:
        """Results of trials that the source has come to know of and that had ended before."""
        for trial in self.source.trials:
            if trial.trial_id not in self.results:
                result = TrialFolder(self.folder, trial).read_result()
                if result is not None:
                    self.results[trial.trial_id] = result
                    self.tracker.update(trial, result)

    def count_epochs_left(self, first: Trial) -> int:
        """Epochs still to be trained, as far as that is known. first: the first trial to run."""
        planned = sum(count_epochs_to_train(self.list_open(), self.folder).values())
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

    def record(self, trial: Trial, event: Event) -> None:
        """Take note of an epoch of a trial, of its pause or of its end."""
        self.startup_seconds = self.startup_seconds or time.monotonic() - self.started
        before = self.results[trial.trial_id]
        if isinstance(event, Ended):
            self._set_ended(trial, event.result)
            if event.metrics:
                self._count_epoch(trial, event.metrics)
            return
        if isinstance(event, Paused):
            self.paused.add(trial.trial_id)
        result = Result(status="running", history=[*before.history, event.metrics])
        self.results[trial.trial_id] = result
        self._count_epoch(trial, event.metrics)
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
        self.take_in_what_is_stored()
        results = self.results | self.earlier
        known = ((t, results[t.trial_id]) for t in self.source.trials if t.trial_id in results)
        paths = write_tables(self.folder, build_tables(self.study, known, self.tracker.run_ids))
        self._tables_at = time.monotonic()
        return paths
