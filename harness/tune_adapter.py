"""What Ray Tune calls: where its trials come from, who hears of their epochs, which of them it stops."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from harness.domains import Domain, Finite
from harness.ledger import Result, Trial
from harness.search import is_open
from harness.study import Study
from models.settings import SETTINGS

if TYPE_CHECKING:
    from harness.runner import StudyRun


class TrialSearch(Searcher):  # type: ignore[misc]
    """Hands Tune the trials of a study's source, one by one. The source itself is told by the watcher."""

    def __init__(self, run: "StudyRun", first: Trial) -> None:
        super().__init__()
        self._run = run
        self._first: Trial | None = first

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002 (Tune's own id, which names nothing of ours)
        """The next trial as Tune's config, None while there is none, or Searcher.FINISHED."""
        if self._run.is_stopping:
            return Searcher.FINISHED
        trial, self._first = self._first or self._run.source.next(), None
        if trial is None:
            return None if self._run.source.is_waiting else Searcher.FINISHED
        return {
            "trial_id": trial.trial_id,
            "gpu": self._run.study.resources.gpu != 0,
            "trial": trial,
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: see the watcher."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a source keeps its own state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StopOnRequest(tune.Stopper):  # type: ignore[misc]
    """Ends the experiment when the user asks for it, or when the disk is full."""

    def __init__(self, run: "StudyRun") -> None:
        self._run = run

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002
        """Stop no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether to end now."""
        return self._run.is_stopping

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Watcher(tune.Callback):  # type: ignore[misc]
    """Passes what happens to Tune's trials on to the study's run."""

    def __init__(self, run: "StudyRun") -> None:
        self._run = run

    def on_trial_start(self, **info: Any) -> None:
        """A process starts on a trial."""
        self._run.begin(info["trial"].config["trial"])

    def on_trial_result(self, **info: Any) -> None:
        """Epochs have been trained."""
        for row in info["result"]["rows"]:
            self._run.add_row(info["trial"].config["trial"], row)

    def on_trial_complete(self, **info: Any) -> None:
        """A trial has ended, or the scheduler has ended it."""
        self._run.end(info["trial"].config["trial"])

    def on_trial_error(self, **info: Any) -> None:
        """A trial's process has died once too often."""
        trial = info["trial"]
        self._run.end(trial.config["trial"], error=f"its process died: {_last_line(trial)}")

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _last_line(trial: Any) -> str:
    error = trial.get_error()
    lines = str(error).strip().splitlines() if error else []
    return lines[-1][:300] if lines else "no reason given"


def make_scheduler(run: "StudyRun") -> TrialScheduler:
    """Tune's scheduler for a study, which knows of the trials that ended in earlier runs."""
    scheduler = _new_scheduler(run.study)
    for trial in run.source.trials:
        result = run.results.get(trial.trial_id)
        if result is not None and trial.phase == "search" and not is_open(run.study, trial, result):
            _tell(scheduler, trial.trial_id, result, run.study.metric)
    return scheduler


def _new_scheduler(study: Study) -> TrialScheduler:
    given = study.scheduler
    if given.name in ("fifo", "pbt"):  # a population is led by its source
        return FIFOScheduler()
    longest = max(value for space in study.sub_spaces() for value in _list_epochs(space))
    grace = min(given.grace_epochs, longest)
    by: dict[str, Any] = {"time_attr": "epoch", "metric": "objective", "mode": study.mode, "grace_period": grace}
    if given.name == "median":
        # It would pause trials while it knows of few others, to give those a turn: not in so long a time slice.
        return MedianStopping(**by, min_time_slice=math.inf)
    by |= {"max_t": longest, "reduction_factor": given.reduction_factor}
    if given.name == "asha":
        return ASHA(**by)
    return HyperBand(**by, brackets=1 + int(math.log(longest / grace, given.reduction_factor) + 1e-9))


class MedianStopping(MedianStoppingRule):  # type: ignore[misc]
    """Tune's rule, which only takes note of epochs that were judged before (`is_judged`).

    Judged again, beside trials that have got ahead meanwhile, a trial that had gone on would be stopped at an epoch
    long past, and what it had trained since would be lost.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        if not result.get("is_judged"):
            return str(super().on_trial_result(tune_controller, trial, result))
        if "objective" in result:
            self.on_trial_complete(tune_controller, trial, result)  # which notes the result, and no more
        return str(TrialScheduler.CONTINUE)


class ASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Tune's rule, which only takes note of epochs that were judged before, as `MedianStopping` does."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        decision = str(super().on_trial_result(tune_controller, trial, result))
        return str(TrialScheduler.CONTINUE) if result.get("is_judged") else decision


class HyperBand(ASHA):
    """Brackets of successive halving, each of which starts later than the one before (Li et al., 2018), asynchronously.

    Tune's synchronous HyperBand pauses trials until their bracket is full, which it never is where few run at once.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Put a trial into a bracket: always the same one, though Tune draws it from NumPy's global generator."""
        before = np.random.get_state()
        np.random.seed(int(trial.config["trial_id"][:8], 16))
        try:
            super().on_trial_add(tune_controller, trial)
        finally:
            np.random.set_state(before)


class _PastTrial:
    """What a scheduler looks at in a trial of Tune's, for one that ended in an earlier run."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id, self.config, self.status = trial_id, {"trial_id": trial_id}, "TERMINATED"


def _tell(scheduler: TrialScheduler, trial_id: str, result: Result, metric: str) -> None:
    """What a trial reached, epoch by epoch."""
    past: Any = _PastTrial(trial_id)
    reports = [
        {"epoch": row["epoch"], "objective": row[metric], "is_judged": True}
        for row in result.history
        if row.get(metric) is not None
    ]
    scheduler.on_trial_add(None, past)
    for report in reports:
        scheduler.on_trial_result(None, past, report)
    if reports:
        scheduler.on_trial_complete(None, past, reports[-1])


def _list_epochs(space: dict[str, Domain]) -> list[int]:
    """How long the trials of a sub-space are, if none is stopped."""
    epochs = space.get("epochs")
    return list(epochs.values) if isinstance(epochs, Finite) else [int(str(SETTINGS["epochs"].default))]
