"""The driver's record of a running study: trials, tables, MLflow and the line of progress."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from harness.datasets import Dataset
from harness.errors import InputError
from harness.ledger.names import PROVENANCE
from harness.ledger.packed_history import PackedHistory
from harness.ledger.provenance import adopt_provenance, describe_study
from harness.ledger.result import Ended, Epoch, Event, Paused, Result, Row, Status, TakenOver, find_end, list_violated
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.progress import Progress
from harness.search.grid_and_random import count_epochs_to_train
from harness.search.open_trials import describe_stopping, is_open
from harness.search.source import Source
from harness.storage.place import Place
from harness.study import Study
from harness.tracking.explain import Failure
from harness.tracking.local_store import locate_runs
from harness.tracking.tracker import Tracker

FULL = (errno.ENOSPC, errno.EDQUOT)  # a full disk, or all of it that a user may take
TABLE_SECONDS = 10.0  # between two updates of the tables while a study runs
TABLE_SHARE = 0.02  # of the driver's time, at most, that they may take: those of ten thousand trials take half a second


def is_of_full_disk(failure: str) -> bool:
    """Whether it is for want of room on a disk that a trial failed, as its process says."""
    return any(os.strerror(number) in failure for number in FULL)


@dataclass
class TrialProgress:
    """Where one trial stands in a running study."""

    result: Result  # how it ended, or what it has trained so far in this run
    rows: list[Row] = field(default_factory=list)  # its epochs so far in this run
    earlier: Result | None = None  # of a trial that runs again: how it had ended
    num_stored: int = 0  # epochs that its checkpoint held when it began to run
    taken_over: TakenOver | None = None  # as its process tells
    is_running: bool = False  # a process is at work on it
    is_paused: bool = False

    def end(self, result: Result) -> None:
        """Note how the trial ended."""
        self.result, self.earlier = result, None

    def pack(self) -> None:
        """Keep what will hardly be read again in less memory."""
        self.result, self.rows = replace(self.result, history=PackedHistory(self.result.history)), []


class StudyRun:
    """Records what happens to the trials of a running study, and tells the source, the tables and MLflow."""

    def __init__(
        self,
        study: Study,
        source: Source,
        folder: Path,
        dataset: Dataset,
        console: Console,
        *,
        place: Place,
    ) -> None:
        """place: keeps the results."""
        self.study, self.source, self.folder, self.place = study, source, folder, place
        self.dataset, self.console = dataset, console
        self.tags = describe_study(dataset, study.loaded_plugins)
        self.started = time.monotonic()
        self._progress: dict[str, TrialProgress] = {}  # by trial_id, of trials that have a result or have begun to run
        self._looked_for: set[str] = set()  # trial_ids
        self.num_trained = 0
        self.num_epochs = 0
        self.startup_seconds = 0.0  # until the first epoch was reported
        self.interrupted = 0  # the signal by which, if any; trials that are running then neither stopped nor failed
        self.problem: str | None = None  # why no more can be trained now
        self._tables_due = self.started + TABLE_SECONDS
        self.find_lost_hold: Callable[[], str | None] = lambda: None  # why this run has its study no longer
        self.on_news: Callable[[], None] = lambda: None  # is called once the source has stored what it proposed
        runs = locate_runs(self.place, study.name)
        self.tracker = Tracker(study.name, runs, self.tags, self._tell_of_mlflow, folder=folder)
        self.read_stored_results()
        self.display = Progress(
            console,
            num_trials=source.num_trials,
            num_done=len(source.trials) - len(self.list_open()),
            # The test images are for the end, and what is measured on them compares no models.
            metric=None if study.metric.startswith("test/") else study.metric,
            mode=study.mode,
        )

    def collect_results(self) -> dict[str, Result]:
        """How trials ended or how far they are, by trial_id."""
        return {trial_id: progress.result for trial_id, progress in self._progress.items()}

    def list_open(self) -> list[Trial]:
        """List the trials known so far that still have to run."""
        results = self.collect_results()
        return [trial for trial in self.source.trials if is_open(self.study, trial, results.get(trial.trial_id))]

    def read_stored_results(self, *, only_new: bool = False) -> None:
        """Read the results that earlier runs stored of trials that are new to this one.

        only_new: not of trials that were looked for before. Nobody else stores any while this run holds the study.
        """
        for trial in self.source.trials:
            if trial.trial_id not in self._progress and not (only_new and trial.trial_id in self._looked_for):
                self._looked_for.add(trial.trial_id)
                result = TrialFolder(self.folder, trial).read_result()
                if result is not None:
                    progress = self._progress[trial.trial_id] = TrialProgress(result)
                    progress.pack()
                    self.tracker.update(trial, progress.result)

    def count_epochs_left(self, first: Trial) -> int:
        """Estimate how many epochs are still to be trained. first: the first trial to run."""
        planned = sum(count_epochs_to_train(self.list_open(), self.folder).values())
        unknown = self.source.num_trials - len(self.source.trials)
        return planned + unknown * first.settings.epochs

    @property
    def is_stopping(self) -> bool:
        """Whether this run is to train no more."""
        return bool(self.interrupted or self.problem)

    def request_stop(self, signum: int = signal.SIGINT) -> None:
        """End the run as a signal asks: running trials are interrupted, and resume in a later run."""
        self.interrupted = signum
        self.display.say_stopping()

    def end_with(self, problem: str) -> None:
        """End the run, as nothing more can be trained. The first problem stays: later ones may come of it."""
        self.problem = self.problem or problem

    def _tell_of_mlflow(self, failure: Failure) -> None:
        self.console.print(f"MLflow cannot be used: {failure}. The study goes on without it.", soft_wrap=True)

    # Tune's callback calls the methods below, in the main thread.

    def next(self) -> Trial | None:
        """Take the next trial from the source; None if there is none now, or if the source cannot say."""
        trial = None
        with self.noticing_problems():
            trial = self.source.next()
        self.on_news()
        return trial

    def begin(self, trial: Trial) -> None:
        """Note that a process starts on a trial, for the first time or again after a crash."""
        before = self._progress.get(trial.trial_id)
        trial_folder = TrialFolder(self.folder, trial, self.place)
        if not trial.population:  # whose source has fetched it
            with self.noticing_problems():
                trial_folder.fetch(whole=False)
        rows: list[Row] = []
        running = Result(status="running", history=rows, began=trial_folder.read_beginning() or time.time())
        progress = self._progress[trial.trial_id] = TrialProgress(running, rows, is_running=True)
        if before is not None:
            progress.earlier = before.earlier if before.result.status == "running" else before.result
        progress.num_stored = len(trial_folder.find_state(only_own=True)[1])
        self._explain(trial, progress.earlier, trial_folder)
        if before is None or not before.is_running:
            self.display.start_trial(trial.trial_id, trial.label, trial.settings.epochs)

    def _explain(self, trial: Trial, earlier: Result | None, folder: TrialFolder) -> None:
        """Say that a trial begins again, and why."""
        if damaged := folder.list_damaged():
            reason = f"{damaged[0]} is damaged"
        elif earlier is not None and earlier.status == "failed":
            reason = f"it failed before ({earlier.error})"
        else:
            return
        num_epochs = folder.count_stored_epochs()
        whence = f"goes on from epoch {num_epochs}" if num_epochs else "begins again"
        self.console.print(f"{trial.label} {whence}: {reason}", soft_wrap=True)

    def record(self, trial: Trial, event: Event) -> None:
        """Note an epoch of a trial, its pause or its end."""
        self.startup_seconds = self.startup_seconds or time.monotonic() - self.started
        progress = self._progress[trial.trial_id]
        if isinstance(event, Epoch | Ended) and event.taken_over not in (None, progress.taken_over):
            self._take_over(progress, event.taken_over)
        if isinstance(event, Ended):
            progress.end(event.result)
            with self.noticing_problems():
                TrialFolder(self.folder, trial, self.place).take_in(event.result)
            if event.metrics:
                self._count_epoch(trial, progress, event.metrics)
            return
        progress.is_paused = isinstance(event, Paused)
        # Appended, as a copy at each epoch would make long trials slow. The tracker's thread may read the list at the
        # same time, and sees it with or without this epoch.
        progress.rows.append(event.metrics)
        self._count_epoch(trial, progress, event.metrics)
        self.tracker.update(trial, progress.result)
        if time.monotonic() > self._tables_due:
            with self.noticing_problems():
                self.write_tables()

    def _take_over(self, progress: TrialProgress, taken_over: TakenOver) -> None:
        """Note that another study trained what a trial goes on from, with what trained that study."""
        progress.taken_over = taken_over
        progress.num_stored = max(progress.num_stored, taken_over.num_epochs)
        lender = self.folder.parent / taken_over.study
        with self.noticing_problems():
            self.place.fetch_file(lender / PROVENANCE)
            adopt_provenance(self.folder, lender)

    def _count_epoch(self, trial: Trial, progress: TrialProgress, metrics: Row) -> None:
        is_allowed = not list_violated(progress.result, self.study.constraints_of(trial.phase))
        value = metrics.get(self.study.metric) if is_allowed else None
        is_new = int(metrics["epoch"] or 0) > progress.num_stored
        self.num_epochs += is_new
        self.display.add_epoch(
            float(value) if value is not None else None,
            is_new=is_new,
            trial_id=trial.trial_id,
            epoch=int(metrics["epoch"] or 0),
        )

    def end(self, trial: Trial, error: str | None = None) -> None:
        """Note that a trial ended: by itself, by the scheduler, or, with an error, because its process kept dying."""
        if error is not None and not self._is_running(trial):  # its process died before it could begin
            self.begin(trial)
        if not self._is_running(trial):
            return
        progress = self._progress[trial.trial_id]
        if self.is_stopping and progress.result.status == "running":
            return
        progress.is_running = False
        if progress.is_paused:
            progress.is_paused = False
            with self.noticing_problems():
                self.source.tell(trial, progress.result)
            self.display.pause_trial(trial.trial_id)
            return
        if progress.result.status == "running":
            before = progress.earlier or progress.result  # earlier measurements stay
            if error is not None:
                before = self._read_result(trial) or before
            history = max(before.history, progress.result.history, key=len)
            status: Status = "stopped" if error is None else "failed"
            host = before.host if error is None else None  # of the process that died, nobody knows
            stopped_by = describe_stopping(self.study) if error is None else None
            told = replace(before, status=status, history=list(history), error=error, host=host, stopped_by=stopped_by)
            progress.end(replace(told, ended=find_end(told.began)))
            with self.noticing_problems():
                TrialFolder(self.folder, trial, self.place).write_result(progress.result)
        result = progress.result
        if result.error is not None and is_of_full_disk(result.error):
            where = f"{result.host}: " if result.host else ""
            self.end_with(f"{where}{result.error}; free some space there and run the study again")
        self.num_trained += 1
        with self.noticing_problems():
            self.source.tell(trial, result)
        progress.pack()
        self.tracker.update(trial, progress.result)
        self.display.set_num_trials(self.source.num_trials)
        self.display.end_trial(
            result.status,
            epochs_skipped=trial.settings.epochs - result.epochs_trained,
            trial_id=trial.trial_id,
        )

    def _read_result(self, trial: Trial) -> Result | None:
        """Read what a trial's process had stored of its end before it died."""
        folder = TrialFolder(self.folder, trial, self.place)
        with self.noticing_problems():
            folder.fetch(whole=False)
        return folder.read_result()

    def put_off(self, trial: Trial) -> None:
        """Note that a trial's process has died, and that it runs again only after others."""
        if self._is_running(trial):
            self._progress[trial.trial_id].is_running = False
            self.display.pause_trial(trial.trial_id)

    def _is_running(self, trial: Trial) -> bool:
        progress = self._progress.get(trial.trial_id)
        return progress is not None and progress.is_running

    @contextmanager
    def noticing_problems(self) -> Iterator[None]:
        """End the run, as a signal would, where the disk is full or the sampler's history cannot be used."""
        try:
            yield
        except InputError as error:
            self.end_with(str(error))
        except OSError as error:
            if error.errno not in FULL:
                raise
            where = error.filename or self.folder
            self.end_with(f"{where}: {os.strerror(error.errno).lower()}; free some space and run the study again")

    def write_tables(self) -> list[Path]:
        """Write the tables of the trials so far; returns their paths. The run ends where it has its study no longer."""
        if (lost := self.find_lost_hold()) is not None:
            self.end_with(lost)
            return []
        began = time.monotonic()
        self.read_stored_results(only_new=True)
        known = [(trial, self._progress.get(trial.trial_id)) for trial in self.source.trials]
        ended = ((trial, progress.earlier or progress.result) for trial, progress in known if progress is not None)
        paths = write_tables(self.folder, build_tables(self.study, ended, self.tracker.run_ids))
        now = time.monotonic()
        self._tables_due = now + max(TABLE_SECONDS, (now - began) / TABLE_SHARE)
        return paths
