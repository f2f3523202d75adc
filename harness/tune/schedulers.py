"""Which trials Tune stops early: its schedulers, told of the trials that ended in earlier runs."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.search.source import is_open
from harness.study import Study
from harness.study.domains import Domain, Finite
from models.settings import SETTINGS


def make_scheduler(study: Study, trials: Iterable[Trial], results: Mapping[str, Result]) -> TrialScheduler:
    """Tune's scheduler for a study, which knows of the trials that ended in earlier runs. results: by trial_id."""
    scheduler = _new_scheduler(study)
    for trial in trials:
        result = results.get(trial.trial_id)
        if result is not None and trial.phase == "search" and not is_open(study, trial, result):
            _tell(scheduler, trial.trial_id, result, study.metric)
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
