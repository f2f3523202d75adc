"""Trials proposed by an Optuna sampler, which learns from the trials that have ended."""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.datasets import DatasetIdentity
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.history import history_errors, open_history
from harness.search.history_name import name_former_history, name_history
from harness.search.source import HISTORY_FILE, count_forgotten, is_open, make_trial
from harness.study import Study
from harness.study.domains import Domain

if TYPE_CHECKING:
    import optuna

MAX_REPEATS = 200
"""After this many repeated proposals in a row, the space is taken to hold nothing new."""

STUCK_REPEATS = 20
"""After this many, the sampler is stuck with what it knows, and proposals are drawn at random."""

POPULATION = 16
"""NSGA-II's population; a quarter of the trials if that is less, so that short searches have several generations."""


class OptunaSource:
    """Trials proposed by an Optuna sampler, whose history is in `optuna.db` in the study's folder of results.

    The history's name depends on the space and the search: a study whose file changes begins a new history, while a
    larger num_trials extends the old one. Trials that a killed run left unfinished come first; each trial is told once.
    """

    def __init__(self, study: Study, dataset: DatasetIdentity, study_folder: Path, *, read_only: bool = False) -> None:
        """read_only: only list the trials known so far; another process may be running the study."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study, self._dataset, self._folder = study, dataset, study_folder
        self._spaces = study.sub_spaces()
        self._names = _name_parameters(self._spaces)
        self.num_trials = self._count_points(at_most=study.search.num_trials or 0)
        self.trials: list[Trial] = []
        self._numbers: dict[str, int] = {}  # trial_id -> Optuna's number
        self._told: set[str] = set()
        self._unfinished: list[Trial] = []
        self.notices: list[str] = []
        self._history = partial(history_errors, study_folder / HISTORY_FILE, study.name, read_only=read_only)
        with self._history():
            opened, num_others = open_history(
                study_folder / HISTORY_FILE,
                name_history(study, dataset.content_hash),
                study.directions,
                former_name=name_former_history(study, dataset.content_hash),
                read_only=read_only,
            )
            if opened is None:
                self._explain(num_others)
                return
            self._optuna = opened
            self._optuna.sampler = self._make_sampler()
            self._read_history()
        self._explain(num_others)
        self.num_trials = max(self.num_trials, len(self.trials))  # a longer search may have proposed more
        if not read_only:
            self._resume()

    def _explain(self, num_histories: int) -> None:
        """Say which trained trials the search does not know. num_histories: others than the search's own."""
        count = count_forgotten(self._study, self.trials, self._folder)
        if not count:
            return
        path, name = self._folder / HISTORY_FILE, self._study.name
        if num_histories:
            self.notices.append(
                f"The space or the search of {name} is another than before, so it is a new search: {count} trained "
                "trials of the old one are not counted. Undo the change to go on with that one."
            )
        elif not self.trials:
            self.notices.append(
                f"{path} is missing or empty, so it is a new search: {count} trained trials are not counted. To "
                f"restore it from MLflow: spikeslab collect {name}"
            )

    def _count_points(self, at_most: int) -> int:
        """Count the configurations that the space holds, up to `at_most`."""
        points: set[str] = set()
        for space in self._spaces:
            listed = [domain.list_values(at_most) for domain in space.values()]
            if any(values is None for values in listed):
                return at_most
            for chosen in itertools.product(*(values for values in listed if values is not None)):
                points.add(self._make_trial(dict(zip(space, chosen, strict=True))).trial_id)
                if len(points) == at_most:
                    return at_most
        return len(points)

    def _make_sampler(self) -> "optuna.samplers.BaseSampler":
        import optuna

        # The seed changes, as a resumed search must not repeat its first draws.
        seed = self._study.search.seed + 1000 * len(self._optuna.get_trials(deepcopy=False))
        few = max(self.num_trials // 3, 1)
        with warnings.catch_warnings():  # some of these samplers are marked experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            match self._study.search.sampler:
                case "gp":
                    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=min(10, few))
                case "cmaes":
                    return optuna.samplers.CmaEsSampler(
                        seed=seed, with_margin=True, consider_pruned_trials=self._study.scheduler.name != "fifo"
                    )
                case "nsga2":
                    size = min(POPULATION, max(self.num_trials // 4, 2))
                    return optuna.samplers.NSGAIISampler(seed=seed, population_size=size)
                case _:
                    return optuna.samplers.TPESampler(
                        seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=min(10, few)
                    )

    def _read_history(self) -> None:
        for frozen in self._optuna.get_trials(deepcopy=False):
            if (configuration := frozen.user_attrs.get("configuration")) is None:
                continue
            trial = self._make_trial(configuration)
            self.trials.append(trial)
            self._numbers[trial.trial_id] = frozen.number
            if frozen.state.is_finished():
                self._told.add(trial.trial_id)

    def _resume(self) -> None:
        """Tell the sampler what an earlier run could not tell it, and queue the trials that it left unfinished."""
        from optuna.trial import TrialState

        for frozen in self._optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if "configuration" not in frozen.user_attrs:  # the run was killed before it noted the trial
                self._optuna.tell(frozen.number, state=TrialState.FAIL)
        for trial in reversed(self.trials):
            result = TrialFolder(self._folder, trial).read_result()
            if result is None or is_open(self._study, trial, result):
                self._unfinished.append(trial)
            else:
                self.tell(trial, result)

    def _make_trial(self, configuration: Mapping[str, Any]) -> Trial:
        return make_trial(self._study, self._dataset, configuration, self._study.seeds[0])

    @property
    def is_waiting(self) -> bool:
        """Never: the next trial does not depend on the end of another."""
        return False

    def next(self) -> Trial | None:
        """Take an unfinished trial of an earlier run, or a new one that the sampler proposes."""
        if self._unfinished:
            return self._unfinished.pop()
        with self._history():
            return self._propose()

    def _propose(self) -> Trial | None:
        import optuna

        num_repeats = 0
        while num_repeats < MAX_REPEATS:
            if len(self.trials) >= self.num_trials:
                return None
            if num_repeats == STUCK_REPEATS:
                self._optuna.sampler = optuna.samplers.RandomSampler(seed=len(self._optuna.get_trials(deepcopy=False)))
            asked = self._optuna.ask()
            configuration = self._suggest(asked)
            trial = self._make_trial(configuration)
            if trial.trial_id in self._numbers:
                # The sampler has learned from this configuration already.
                self._optuna.tell(asked, state=optuna.trial.TrialState.FAIL)
                num_repeats += 1
                continue
            asked.set_user_attr("trial_id", trial.trial_id)
            asked.set_user_attr("configuration", configuration)
            self.trials.append(trial)
            self._numbers[trial.trial_id] = asked.number
            result = TrialFolder(self._folder, trial).read_result()
            if result is None or is_open(self._study, trial, result):
                return trial
            self.tell(trial, result)  # trained for an earlier version of the study file
        self.num_trials = len(self.trials)  # the space holds nothing new
        return None

    def _suggest(self, asked: "optuna.Trial") -> dict[str, Any]:
        labels = [str(i) for i in range(len(self._spaces))]
        index = int(asked.suggest_categorical("space", labels)) if len(labels) > 1 else 0
        return {
            setting: domain.suggest(asked, self._names[index][setting])
            for setting, domain in self._spaces[index].items()
        }

    def tell(self, trial: Trial, result: Result) -> None:
        """Tell the sampler, once, how a trial ended; one stopped early counts as pruned, with its last value."""
        # A failed trial will run again, and stays open until then.
        if trial.trial_id not in self._told and result.status not in ("running", "failed"):
            self._told.add(trial.trial_id)
            with self._history():
                self._tell(trial, result)

    def _tell(self, trial: Trial, result: Result) -> None:
        import optuna
        from optuna.trial import TrialState

        number, constraints = self._numbers[trial.trial_id], self._study.search.constraints
        values = [result.last_value(metric) for metric in self._study.objectives]
        bounded = [result.last_value(constraint.metric) for constraint in constraints]
        if result.status == "diverged" or None in (*values, *bounded):
            self._optuna.tell(number, state=TrialState.FAIL)
            return
        asked = optuna.Trial(self._optuna, self._optuna.get_trials(deepcopy=False)[number]._trial_id)
        for constraint, value in zip(constraints, bounded, strict=True):
            assert value is not None
            if str(constraint) not in asked.constraints:  # else a run that was killed noted it, and told no more
                asked.set_constraint(str(constraint), constraint.measure_excess(value))
        if result.status == "finished" or len(values) > 1:  # with several objectives Optuna cannot prune
            self._optuna.tell(number, values)
        else:
            asked.report(values[0], result.epochs_trained)
            self._optuna.tell(number, state=TrialState.PRUNED)


def _name_parameters(spaces: Sequence[Mapping[str, Domain]]) -> list[dict[str, str]]:
    """Name each setting for the sampler: the same in sub-spaces that give it the same domain, different otherwise."""
    names: list[dict[str, str]] = []
    for i, space in enumerate(spaces):
        names.append({})
        for setting, domain in space.items():
            others = [other[setting] for other in spaces if setting in other]
            names[i][setting] = setting if all(other == domain for other in others) else f"{setting}[{i}]"
    return names
