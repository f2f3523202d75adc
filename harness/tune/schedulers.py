"""Tune's schedulers, which stop trials early, with the results of trials that ended in earlier runs."""

import math
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from harness.datasets import identify_dataset
from harness.ledger.result import Result, measure_spending
from harness.ledger.trial import Trial
from harness.search.open_trials import is_open
from harness.study import Study
from harness.study.domains import Domain, Finite
from harness.study.sections import Resource
from harness.tune.filling import FillsSlots
from models.setting import SETTINGS

TIME_ATTRIBUTES: Mapping[Resource, str] = {"epochs": "epoch", "steps": "step", "seconds": "train_seconds"}
"""What a trial reports of its spending, by the resource that a scheduler counts."""

MAX_SECONDS = 10**8
"""More than any trial trains."""


def make_scheduler(study: Study, trials: Iterable[Trial], results: Mapping[str, Result]) -> FillsSlots:
    """Make Tune's scheduler for a study; it learns of the trials that ended in earlier runs. results: by trial_id."""
    scheduler = _new_scheduler(study)
    for trial in trials:
        result = results.get(trial.trial_id)
        if result is not None and trial.phase == "search" and not is_open(study, trial, result):
            _replay(scheduler, trial.trial_id, result, study.metric)
    return scheduler


def _new_scheduler(study: Study) -> FillsSlots:
    given = study.scheduler
    longest = _count_longest(study)
    grace = min(given.grace_epochs if given.resource == "epochs" else given.grace, longest)
    by: dict[str, Any] = {"metric": "objective", "mode": study.mode, "grace_period": grace}
    by["time_attr"] = TIME_ATTRIBUTES[given.resource]
    halving = {"max_t": longest, "reduction_factor": given.reduction_factor}
    match given.name:
        case "fifo" | "pbt":  # PopulationSource does what pbt asks for
            return FillsSlots()
        case "median":
            # An infinite time slice, as the rule would pause trials to give others a turn while it knows of few.
            return MedianStopping(**by, min_time_slice=math.inf)
        case "asha":
            return ASHA(**by, **halving)
        case "hyperband":
            brackets = 1 + int(math.log(longest / grace, given.reduction_factor) + 1e-9)
            return HyperBand(**by, **halving, brackets=brackets)


def _count_longest(study: Study) -> int:
    """An upper bound of what a trial of the study can spend of the scheduler's resource, rounded up."""
    spaces = study.sub_spaces()
    match study.scheduler.resource:
        case "epochs":
            return max(value for space in spaces for value in _list_values(space, "epochs"))
        case "steps":
            num_images = identify_dataset(study.dataset).num_train
            return max(
                max(_list_values(space, "epochs")) * math.ceil(num_images / min(_list_values(space, "batch_size")))
                for space in spaces
            )
        case "seconds":
            return MAX_SECONDS


class _Past:
    """When a trial has reported, and the mean over its first reports, as far as somebody has asked for it."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.is_in_order = True  # a trial whose process has died may report epochs again
        self.means: dict[int, Any] = {}  # by the number of reports


class MedianStopping(FillsSlots, MedianStoppingRule):  # type: ignore[misc]
    """Tune's rule, which notes epochs that an earlier run has judged (`is_judged`), but does not judge them again.

    Compared with trials that have got ahead meanwhile, a trial that the earlier run kept would be stopped at an epoch
    long past, and what it has trained since would be lost.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._pasts: defaultdict[Any, _Past] = defaultdict(_Past)  # by trial

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether the trial continues."""
        if not result.get("is_judged"):
            return str(super().on_trial_result(tune_controller, trial, result))
        if "objective" in result:
            self.on_trial_complete(tune_controller, trial, result)  # which only notes the result
        return str(TrialScheduler.CONTINUE)

    def _running_mean(self, trial: Any, time: float) -> Any:
        """Tune's mean over a trial's reports up to a time, which Tune computes anew of all trials at every report."""
        past, reports = self._pasts[trial], self._results[trial]
        for report in reports[len(past.times) :]:
            reported = report[self._time_attr]
            past.is_in_order &= not past.times or reported >= past.times[-1]
            past.times.append(reported)
        if not past.is_in_order:
            return super()._running_mean(trial, time)
        num_reports = bisect_right(past.times, time)
        if num_reports not in past.means:
            past.means[num_reports] = super()._running_mean(trial, time)
        return past.means[num_reports]


class _Bracket:
    """The rungs of a bracket, of which each trial is judged once at the highest that a report of it reaches.

    Tune compares the first values past a rung, and goes down to rungs that a report has jumped over. By epochs that is
    the same, as reports are an epoch apart. By steps or seconds it would compare an early value with much later ones.
    Here a trial is compared with what others, which have come as far as the rung, had reached by then.
    """

    def __init__(self, tunes: Any) -> None:
        self._rungs: Sequence[float] = [rung for rung, _ in tunes._rungs]  # the highest first; Tune counts them
        self._cutoff = tunes.cutoff
        self._passed: dict[str, float] = {}  # the highest rung that a trial has passed, by trial_id
        self._spent: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))  # of each report, by trial_id
        self._values: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def on_result(self, trial: Any, spent: float, value: float) -> str:
        """Decide whether the trial continues. value: higher is better."""
        name, own = trial.trial_id, self._spent[trial.trial_id]
        if not own or spent > own[-1]:  # a trial whose process has died may report epochs again
            own.append(spent)
            self._values[name].append(value)
        rung = next((rung for rung in self._rungs if spent >= rung), 0)
        if rung <= self._passed.get(name, 0):
            return str(TrialScheduler.CONTINUE)
        others = [other for other, passed in self._passed.items() if passed >= rung]
        self._passed[name] = rung
        known = {other: bisect_right(self._spent[other], spent) for other in others}  # reports, by then
        cutoff = self._cutoff({other: self._values[other][count - 1] for other, count in known.items() if count})
        return str(TrialScheduler.STOP if cutoff is not None and value < cutoff else TrialScheduler.CONTINUE)

    def debug_str(self) -> str:
        return f"Bracket: passed {self._passed}"


class ASHA(FillsSlots, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Tune's rule in brackets of our own, which does not judge epochs again, as in `MedianStopping`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._brackets[:] = map(_Bracket, self._brackets)

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

    def is_finished(self) -> bool:
        return True


def _replay(scheduler: TrialScheduler, trial_id: str, result: Result, metric: str) -> None:
    """Replay a trial that has ended to a scheduler, epoch by epoch."""
    past: Any = _PastTrial(trial_id)
    spent = accumulate(float(row.get("seconds") or 0) for row in result.history)
    reports = [
        {**measure_spending(row, seconds), "objective": row[metric], "is_judged": True}
        for row, seconds in zip(result.history, spent, strict=True)
        if row.get(metric) is not None
    ]
    scheduler.on_trial_add(None, past)
    for report in reports:
        scheduler.on_trial_result(None, past, report)
    if reports:
        scheduler.on_trial_complete(None, past, reports[-1])


def _list_values(space: dict[str, Domain], setting: str) -> list[int]:
    """The whole numbers that a sub-space gives its trials; of an interval, its ends."""
    domain = space.get(setting)
    if domain is None:
        return [int(str(SETTINGS[setting].default))]
    values = domain.values if isinstance(domain, Finite) else (domain.low, domain.high)
    return [int(value) for value in values]
