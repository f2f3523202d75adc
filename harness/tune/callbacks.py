"""What Ray Tune calls to get trials, to report their events, and to know when to stop."""

import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher

from harness.cluster.room import describe_wait
from harness.ledger.trial import Trial
from harness.study.sections import Resources
from harness.tune.failures import read_last_line
from harness.tune.study_run import StudyRun

PATIENCE_SECONDS = 5.0  # for a trial to begin, before it is said what is waited for


class TrialSearch(Searcher):  # type: ignore[misc]
    """Gives Tune the trials of a study's source, one by one. The watcher tells the source how they ended."""

    def __init__(self, run: StudyRun, first: Trial, is_full: Callable[[], bool] = lambda: False) -> None:
        """is_full: whether nothing may run beside what runs."""
        super().__init__()
        self._run, self._is_full = run, is_full
        self._first: Trial | None = first

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002 (Tune's own id, which we do not use)
        """Return the next trial as Tune's config, None if there is none now, or Searcher.FINISHED."""
        if self._run.is_stopping:
            return Searcher.FINISHED
        if self._is_full():
            return None
        trial, self._first = self._first or self._run.next(), None
        if trial is None:
            return None if self._run.source.is_waiting and not self._run.is_stopping else Searcher.FINISHED
        return {
            "trial_id": trial.trial_id,
            "gpu": self._run.study.resources.gpu != 0,
            "trial": trial,
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Do nothing: see Watcher."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a source stores its own state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a source restores its own state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StopOnRequest(tune.Stopper):  # type: ignore[misc]
    """Ends the run when the user asks for it, or when the disk is full."""

    def __init__(self, run: StudyRun) -> None:
        self._run = run

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether to end now."""
        return self._run.is_stopping

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Watcher(TrialProgressCallback):  # type: ignore[misc]
    """Notifies the study's run of what happens to Tune's trials.

    It takes the place of Tune's own report of progress, which would keep each trial for good.
    """

    def __init__(self, run: StudyRun, resources: Resources) -> None:
        """resources: of a trial."""
        super().__init__()
        self._run, self._resources = run, resources
        self._said: set[str] = set()
        self._began = 0.0
        self._wait: str | None = None  # what the first trial waits for, while that is to be said

    def setup(self, **_: Any) -> None:
        """Note what a trial has to wait for, before any has taken its place."""
        self._began, self._wait = time.monotonic(), describe_wait(self._resources)

    def on_step_end(self, **_: Any) -> None:
        """Say what is waited for, where no trial has begun for a while."""
        if self._wait is not None and time.monotonic() - self._began > PATIENCE_SECONDS:
            self._run.display.say_waiting(self._wait)
            self._wait = None

    def on_trial_start(self, **info: Any) -> None:
        """Note that a process starts on a trial."""
        self._wait = None
        self._run.begin(info["trial"].config["trial"])

    def on_trial_result(self, **info: Any) -> None:
        """Record the events of a trial; Tune, which keeps its results, need not keep these."""
        events = info["result"]["events"]
        for event in events:
            self._run.record(info["trial"].config["trial"], event)
        events.clear()
        for notice in info["result"]["notices"]:
            if notice not in self._said:  # each trial of an engine has it
                self._said.add(notice)
                self._run.console.print(notice, soft_wrap=True, markup=False)

    def on_trial_complete(self, **info: Any) -> None:
        """Note that a trial has ended or was stopped by the scheduler."""
        self._run.end(info["trial"].config["trial"])

    def on_trial_error(self, **info: Any) -> None:
        """Note a trial that Tune could not start or stop, and gives up; Judge decides on those whose process dies."""
        trial = info["trial"]
        self._run.end(trial.config["trial"], error=f"its process died: {read_last_line(trial)}")

    def __getstate__(self) -> dict[str, Any]:
        return {}
