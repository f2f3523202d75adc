"""Tune's schedulers, which stop trials early, with the results of trials that ended in earlier runs."""

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
    """Make Tune's scheduler for a study; it learns of the trials that ended in earlier runs. results: by trial_id."""
    scheduler = _new_scheduler(study)
    for trial in trials:
        result = results.get(trial.trial_id)
        if result is not None and trial.phase == "search" and not is_open(study, trial, result):
            _replay(scheduler, trial.trial_id, result, study.metric)
    return scheduler


def _new_scheduler(study: Study) -> TrialScheduler:
    given = study.scheduler
    if given.name in ("fifo", "pbt"):  # PopulationSource does what pbt asks for
        return FIFOScheduler()
    longest = max(value for space in study.sub_spaces() for value in _list_epochs(space))
    grace = min(given.grace_epochs, longest)
    by: dict[str, Any] = {"time_attr": "epoch", "metric": "objective", "mode": study.mode, "grace_period": grace}
    if given.name == "median":
        # An infinite time slice, as the rule would pause trials to give others a turn while it knows of few.
        return MedianStopping(**by, min_time_slice=math.inf)
    by |= {"max_t": longest, "reduction_factor": given.reduction_factor}
    if given.name == "asha":
        return ASHA(**by)
    return HyperBand(**by, brackets=1 + int(math.log(longest / grace, given.reduction_factor) + 1e-9))


class MedianStopping(MedianStoppingRule):  # type: ignore[misc]
    """Tune's rule, which notes epochs that an earlier run has judged (`is_judged`), but does not judge them again.

    Compared with trials that have got ahead meanwhile, a trial that the earlier run kept would be stopped at an epoch
    long past, and what it has trained since would be lost.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether the trial continues."""
        if not result.get("is_judged"):
            return str(super().on_trial_result(tune_controller, trial, result))
        if "objective" in result:
            self.on_trial_complete(tune_controller, trial, result)  # which only notes the result
        return str(TrialScheduler.CONTINUE)


class ASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Tune's rule, which does not judge epochs again, as in `MedianStopping`."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether the trial continues."""
        decision = str(super().on_trial_result(tune_controller, trial, result))
        return str(TrialScheduler.CONTINUE) if result.get("is_judged") else decision


class HyperBand(ASHA):
    """Asynchronous brackets of successive halving, each of which starts later than the one before (Li et al., 2018).

    Tune's synchronous HyperBand pauses trials until their bracket is full, which never happens if few run at once.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Put a trial into a bracket that depends on its trial_id only; Tune draws it from NumPy's global generator."""
        before = np.random.get_state()
        np.random.seed(int(trial.config["trial_id"][:8], 16))
        try:
            super().on_trial_add(tune_controller, trial)
        finally:
            np.random.set_state(before)


class _PastTrial:
    """Stands in for Tune's trial where a trial ended in an earlier run: the attributes that schedulers read."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id, self.config, self.status = trial_id, {"trial_id": trial_id}, "TERMINATED"


def _replay(scheduler: TrialScheduler, trial_id: str, result: Result, metric: str) -> None:
    """Replay a trial that has ended to a scheduler, epoch by epoch."""
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
    """The numbers of epochs that a sub-space gives its trials."""
    epochs = space.get("epochs")
    return list(epochs.values) if isinstance(epochs, Finite) else [int(str(SETTINGS["epochs"].default))]
