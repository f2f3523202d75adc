"""Train the best configurations of a search again, over seeds, so that the winner owes nothing to luck or the test set.

They are trained twice over the seeds of `confirm`, none of which the search has used. With the validation images held
out, as in the search, the best mean over seeds is the winner (phase `select`). On all training images, the mean test
ELBO estimates what each configuration achieves (phase `confirm`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from harness.ledger.result import Result, list_violated
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import ListSource, order_trials
from harness.search.open_trials import is_open, read_ended
from harness.search.source import Source
from harness.study import Study
from harness.study.constraints import Constraint


class ConfirmingSource:
    """The trials of a search and, once all of them have ended, the trials that confirm its best configurations."""

    def __init__(self, study: Study, search: Source, study_folder: Path) -> None:
        assert study.confirm is not None
        self._study, self._confirm, self._search, self._folder = study, study.confirm, search, study_folder
        self._running: set[str] = set()  # trials of the search
        self._confirming: ListSource | None = None
        self._earlier: list[Trial] = []  # confirmed the best of a search that is open again
        results = self._read_results()
        is_open_again = any(is_open(study, trial, results[trial.trial_id]) for trial in search.trials)
        if len(search.trials) >= search.num_trials and not is_open_again:
            self._begin_to_confirm()
        elif all(results.values()):  # but some failed, or more are planned
            planned = self._plan(results)
            self._earlier = [trial for trial in planned if TrialFolder(study_folder, trial).read_result() is not None]

    def _read_results(self) -> dict[str, Result | None]:
        return {trial.trial_id: TrialFolder(self._folder, trial).read_result() for trial in self._search.trials}

    def _begin_to_confirm(self) -> None:
        self._confirming = ListSource(self._study, self._plan(self._read_results()), self._folder)

    def _plan(self, results: Mapping[str, Result | None]) -> list[Trial]:
        """List the trials of fresh seeds, then what was confirmed with a seed of the search before seeds were fresh.

        The latter stay in the tables, though nothing is computed from them; they are not trained again.
        """
        study, trials, top = self._study, self._search.trials, self._confirm.top
        fresh = self._confirm.choose_fresh_seeds(study.all_seeds)
        planned = plan_confirmation(study, trials, results, top=top, seeds=fresh)
        known = {trial.trial_id for trial in planned}
        given = plan_confirmation(study, trials, results, top=top, seeds=self._confirm.seeds)
        return [*planned, *(t for t in given if t.trial_id not in known and read_ended(study, t, self._folder))]

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial known so far: those of the search, then those that confirm."""
        return [*self._search.trials, *(self._earlier if self._confirming is None else self._confirming.trials)]

    @property
    def num_trials(self) -> int:
        """How many trials there will be in all; until the search has ended, an upper bound."""
        if self._confirming is not None:
            return len(self.trials)
        again = 2 * len(self._confirm.seeds)
        return self._search.num_trials + min(self._confirm.top, self._search.num_trials) * again

    @property
    def notices(self) -> Sequence[str]:
        """Those of the search."""
        return self._search.notices

    @property
    def is_waiting(self) -> bool:
        """Whether the best are not known yet, or trials wait for shorter ones."""
        if self._confirming is not None:
            return self._confirming.is_waiting
        return bool(self._running) or self._search.is_waiting

    def next(self) -> Trial | None:
        """Take the next trial of the search or, when none is left, of the confirmation."""
        if self._confirming is None:
            trial = self._search.next()
            if trial is not None:
                self._running.add(trial.trial_id)
            if trial is not None or self._running or self._search.is_waiting:
                return trial
            self._begin_to_confirm()
        assert self._confirming is not None
        return self._confirming.next()

    def tell(self, trial: Trial, result: Result) -> None:
        """Learn how a trial ended."""
        if trial.phase == "search":
            self._running.discard(trial.trial_id)
            self._search.tell(trial, result)
        elif self._confirming is not None:
            self._confirming.tell(trial, result)


def plan_confirmation(
    study: Study,
    trials: Iterable[Trial],
    results: Mapping[str, Result | None],
    *,
    top: int,
    seeds: Sequence[int],
) -> list[Trial]:
    """List the trials that confirm the best configurations, seed by seed, without those that the search has trained.

    trials: of the search. top: how many configurations are the best.
    """
    trials = list(trials)
    best = rank_configurations(trials, results, study.metric, study.mode, study.search.constraints)[:top]
    select = [replace(t, settings=replace(t.settings, seed=s), phase="select") for s in seeds for t in best]
    answer = [
        replace(t, settings=replace(t.settings, seed=s, num_validation=0), phase="confirm") for s in seeds for t in best
    ]
    known = {trial.trial_id for trial in trials}
    return order_trials(trial for trial in [*select, *answer] if trial.trial_id not in known)


def rank_configurations(
    trials: Iterable[Trial],
    results: Mapping[str, Result | None],
    metric: str,
    mode: str,
    constraints: Sequence[Constraint] = (),
) -> list[Trial]:
    """Rank configurations by the mean over seeds of their trials' last value; returns one trial of each, best first.

    A configuration that diverged or failed with some seed is left out, as the mean over its other seeds would be
    biased, and so is one that breaks a constraint with some seed.
    """
    by_configuration: dict[str, list[Trial]] = {}
    for trial in trials:
        name = json.dumps(trial.settings.to_dict() | {"seed": 0})
        by_configuration.setdefault(name, []).append(trial)
    means: list[tuple[float, Trial]] = []
    for alike in by_configuration.values():
        ended = [result for t in alike if (result := results.get(t.trial_id)) and result.status == "finished"]
        allowed = [result for result in ended if not list_violated(result, constraints)]
        values = [value for result in allowed if (value := result.last_value(metric)) is not None]
        if len(values) == len(alike):
            means.append((fmean(values), alike[0]))
    return [trial for _, trial in sorted(means, key=lambda pair: pair[0], reverse=mode == "max")]
