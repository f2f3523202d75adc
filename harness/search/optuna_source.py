"""Trials proposed by an Optuna sampler, which learns from the trials that have ended."""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.wording import plural
from harness.datasets import DatasetIdentity
from harness.errors import InputError
from harness.ledger.names import HISTORY_FILE
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.search.history import history_errors, name_metrics, open_history
from harness.search.history_name import list_former_names, name_history
from harness.search.open_trials import read_ended
from harness.search.recall import name_parameters, recall, store
from harness.search.samplers import OF_GENERATIONS, make_sampler
from harness.search.source import count_forgotten
from harness.search.space import SearchSpace
from harness.search.stopping import Stopping
from harness.search.stored_trials import SPACE, StoredTrial, find_stored_trials, is_of_todays_code
from harness.search.told import STATUS, find_worst, measure
from harness.study import Study

if TYPE_CHECKING:
    import optuna

MAX_REPEATS = 200
"""After this many repeated proposals in a row, the space is taken to hold nothing new."""

STUCK_REPEATS = 20
"""After this many, the sampler is stuck with what it knows, and this one proposal is drawn at random."""


class OptunaSource:
    """Trials proposed by an Optuna sampler, whose history is in `optuna.db` in the study's folder of results.

    The history's name depends on the space, the search and the code that trains: a study whose file or plug-in changes
    begins a new history, with the trials that an earlier one has trained and that lie in the new space, while a larger
    num_trials extends the old one.
    Trials that a killed run left unfinished come first; each trial is told once.
    """

    def __init__(self, study: Study, dataset: DatasetIdentity, study_folder: Path, *, read_only: bool = False) -> None:
        """read_only: only list the trials known so far; another process may be running the study."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study, self._folder = study, study_folder
        self._space = SearchSpace(study, dataset)
        stop = study.search.stop
        self._stopping = None if stop is None else Stopping(stop, study, self._space)
        self.trials: list[Trial] = []
        self._numbers: dict[str, int] = {}  # trial_id -> Optuna's number
        self._stored: set[str] = set()  # trial_ids of those that an earlier search trained
        self._ended: dict[str, Result] = {}  # where the search may end by it
        self._begun: dict[str, float] = {}  # when those that run were handed out, by a clock that none sets
        self._told: set[str] = set()
        self._failed: set[str] = set()
        self._unfinished: list[Trial] = []
        self.notices: list[str] = []
        self._history = partial(history_errors, study_folder / HISTORY_FILE, study.name, read_only=read_only)
        with self._history():
            opened, others = open_history(
                study_folder / HISTORY_FILE,
                name_history(study, dataset.content_hash),
                study.directions,
                former_names=list_former_names(study, dataset.content_hash),
                is_ours=partial(is_of_todays_code, self._space),
                read_only=read_only,
            )
            if opened is not None:
                self._optuna = opened
                self._read_history()
            stored = list(find_stored_trials(study, self._space, others, study_folder, known=self._numbers))
            if read_only:
                self._list_stored(stored)
            else:
                self._optuna.set_user_attr(SPACE, str(self._space))
                name_metrics(self._optuna, study.objectives)
                self._take_over(stored)
        self.num_trials = self._count_points(at_most=(study.search.num_trials or 0) + len(self._stored))
        self.num_trials = max(self.num_trials, len(self.trials))  # a longer search may have proposed more
        self._explain(len(others))
        if not read_only:
            self._resume()
        self._note_results()

    def _explain(self, num_others: int) -> None:
        """Say what an earlier search has left. num_others: histories other than the search's own."""
        count = count_forgotten(self._study, self.trials, self._folder)
        path, name, sampler = self._folder / HISTORY_FILE, self._study.name, self._study.search.sampler
        if self._stored:
            self.notices.append(
                f"The space, the search or the code of {name} is another than before: it begins with the "
                f"{plural(len(self._stored), 'trained trial')} of the old one that lie in it, "
                + (f"from which {sampler} learns nothing, " if sampler in OF_GENERATIONS else "")
                + f"and proposes {self.num_trials - len(self._stored)} more."
                + (f" {count} others are not counted." if count else "")
            )
        elif count and num_others:
            self.notices.append(
                f"The space, the search or the code of {name} is another than before, so it is a new search: {count} "
                "trained trials of the old one are not counted. Undo the change to go on with that one."
            )
        elif count and not self.trials:
            self.notices.append(
                f"{path} is missing or empty, so it is a new search: {count} trained trials are not counted. To "
                f"restore it from MLflow: spikeslab collect {name}"
            )

    def _count_points(self, at_most: int) -> int:
        """Count the configurations that the space holds, up to `at_most`."""
        points: set[str] = set()
        for space in self._space.sub_spaces:
            listed = [domain.list_values(at_most) for domain in space.values()]
            if any(values is None for values in listed):
                return at_most
            for chosen in itertools.product(*(values for values in listed if values is not None)):
                points.add(self._space.make_trial(dict(zip(space, chosen, strict=True))).trial_id)
                if len(points) == at_most:
                    return at_most
        return len(points)

    def _read_history(self) -> None:
        for frozen in self._optuna.get_trials(deepcopy=False):
            if (configuration := frozen.user_attrs.get("configuration")) is None:
                continue
            trial = self._space.make_trial(configuration)
            self._know(trial, frozen.number)
            if frozen.user_attrs.get("stored"):
                self._stored.add(trial.trial_id)
            if frozen.state.is_finished():
                self._told.add(trial.trial_id)

    def _know(self, trial: Trial, number: int) -> None:
        self.trials.append(trial)
        self._numbers[trial.trial_id] = number

    def _list_stored(self, stored: Sequence[StoredTrial]) -> None:
        """List what the search would begin with, and write nothing."""
        self.trials += [found.trial for found in stored]
        self._stored |= {found.trial.trial_id for found in stored}

    def _take_over(self, stored: Sequence[StoredTrial]) -> None:
        """Enter what the search begins with into its history."""
        for found in stored:
            self._begin(found.trial, name_parameters(self._space, found.parameters), found.configuration, stored=True)
            self._stored.add(found.trial.trial_id)
        self._tell_all([(found.trial, found.result) for found in stored])

    def _begin(
        self, trial: Trial, proposed: "optuna.trial.FrozenTrial", configuration: Mapping[str, Any], **attributes: Any
    ) -> None:
        """Enter a trial into the history. proposed: of another history."""
        number = store(self._optuna, proposed, trial_id=trial.trial_id, configuration=configuration, **attributes)
        self._know(trial, number)

    def _resume(self) -> None:
        """Tell the sampler what an earlier run could not tell it, and queue the trials that it left unfinished."""
        from optuna.trial import TrialState

        with self._history():
            for frozen in self._optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
                if "configuration" not in frozen.user_attrs:  # the run was killed before it noted the trial
                    self._optuna.tell(frozen.number, state=TrialState.FAIL)
            # The seed changes, as a resumed search must not repeat its first draws.
            num_known = len(self._optuna.get_trials(deepcopy=False))
        self._optuna.sampler = self._make_sampler(num_known)
        ended: list[tuple[Trial, Result]] = []
        for trial in self.trials:
            result = read_ended(self._study, trial, self._folder)
            if result is None:
                self._unfinished.append(trial)
            else:
                ended.append((trial, result))
        self._tell_all(ended)

    def _make_sampler(self, place: int) -> "optuna.samplers.BaseSampler":
        return make_sampler(self._study, self.num_trials - len(self._stored), self._make_seed(place))

    def _make_seed(self, place: int) -> int:
        """Make a seed of the search's own. place: makes it another than that of the search's other samplers."""
        return self._study.search.seed + 1000 * place

    def _note_results(self) -> None:
        """Read how trials ended, where the search may end by it."""
        if self._stopping is None:
            return
        for trial in self.trials:
            result = read_ended(self._study, trial, self._folder)
            if result is not None:
                self._ended[trial.trial_id] = result
        self._end_if_over()

    def _end_if_over(self) -> None:
        """Propose no more if a rule of the study says so, once all that the next proposal learns from has ended."""
        if self._stopping is None or len(self.trials) >= self.num_trials or self._is_awaiting():
            return
        learnt, last = self._split_proposed()
        ended = self._list_ended([*learnt, *last])
        now, steady = time.time(), time.monotonic()
        reason = self._stopping.find_reason(
            ended,
            ended if self._study.search.at_once is None else self._list_ended(learnt),
            self._list_ended(trial for trial in self.trials if trial.trial_id in self._stored),
            [(now - (steady - began), now) for began in self._begun.values()],
        )
        if reason:
            self.notices.append(f"The search ends after {len(self.trials)} of {self.num_trials} trials: {reason}.")
            self.num_trials = len(self.trials)

    def _list_ended(self, trials: Iterable[Trial]) -> list[tuple[Trial, Result]]:
        return [(trial, self._ended[trial.trial_id]) for trial in trials if trial.trial_id in self._ended]

    @property
    def is_waiting(self) -> bool:
        """Whether the next trial learns from one that still runs."""
        return len(self.trials) < self.num_trials and self._is_awaiting()

    def _is_awaiting(self) -> bool:
        """Whether a trial still runs that the next proposal learns from, where the study says which do."""
        over = self._told | self._failed
        return any(trial.trial_id not in over for trial in self._split_proposed()[0])

    def _split_proposed(self) -> tuple[list[Trial], list[Trial]]:
        """What the search has proposed: trials that its next proposal learns from, and the last ones, that may run."""
        proposed = [trial for trial in self.trials if trial.trial_id not in self._stored]
        num_last = self._study.search.at_once
        split = 0 if num_last is None else max(len(proposed) - num_last + 1, 0)
        return proposed[:split], proposed[split:]

    def next(self) -> Trial | None:
        """Take an unfinished trial of an earlier run, or a new one that the sampler proposes."""
        if self._unfinished:
            trial: Trial | None = self._unfinished.pop(0)
        else:
            with self._history():
                trial = self._propose()
        if trial is not None:
            self._begun[trial.trial_id] = time.monotonic()
        return trial

    def _propose(self) -> Trial | None:
        while True:
            self._end_if_over()
            if len(self.trials) >= self.num_trials or self._is_awaiting():
                return None
            trial = self._propose_new()
            if trial is None:
                self.num_trials = len(self.trials)  # the space holds nothing new
                return None
            result = read_ended(self._study, trial, self._folder)
            if result is None:
                return trial
            self.tell(trial, result)  # trained for an earlier version of the study file

    def _propose_new(self) -> Trial | None:
        """Ask the sampler for a trial that is not known yet; None if it finds none."""
        history = self._optuna if self._study.search.at_once is None else self._recall()
        sampler = history.sampler
        try:
            return self._find_new(history)
        finally:
            history.sampler = sampler  # where it was stuck, that one proposal was drawn at random

    def _find_new(self, history: "optuna.Study") -> Trial | None:
        import optuna

        illegal: list[InputError] = []
        for num_repeats in range(MAX_REPEATS):
            if num_repeats == STUCK_REPEATS:
                place = len(history.get_trials(deepcopy=False))
                history.sampler = optuna.samplers.RandomSampler(seed=self._make_seed(place))
            asked = history.ask()
            configuration = self._space.suggest(asked)
            try:
                trial = self._space.make_trial(configuration)
            except InputError as error:  # of settings that do not go together, such as fewer images than a batch has
                illegal.append(error)
                history.tell(asked, state=optuna.trial.TrialState.FAIL)
                continue
            if trial.trial_id in self._numbers:
                # The sampler has learned from this configuration already.
                history.tell(asked, state=optuna.trial.TrialState.FAIL)
            elif history is self._optuna:
                asked.set_user_attr("trial_id", trial.trial_id)
                asked.set_user_attr("configuration", configuration)
                self._know(trial, asked.number)
                return trial
            else:
                self._begin(trial, history.get_trials(deepcopy=False)[-1], configuration)
                return trial
        if len(illegal) == MAX_REPEATS:
            raise illegal[-1]
        return None

    def _recall(self) -> "optuna.Study":
        """What the next proposal learns from, whatever has ended by now, with a sampler of its own."""
        known = {trial.number: trial for trial in self._optuna.get_trials(deepcopy=False)}
        stored = [trial for trial in self.trials if trial.trial_id in self._stored]
        learnt, last = self._split_proposed()
        ended, running = ([known[self._numbers[t.trial_id]] for t in part] for part in ([*stored, *learnt], last))
        return recall(ended, running, self._study.directions, self._make_sampler(len(learnt) + len(last)))

    def tell(self, trial: Trial, result: Result) -> None:
        """Tell the sampler, once, how a trial ended.

        One stopped early counts as pruned, with its last value, and one that diverged as the worst that is known.
        """
        if result.status == "running":
            return
        self._begun.pop(trial.trial_id, None)
        if self._stopping is not None:
            self._ended[trial.trial_id] = result
        if result.status == "failed":  # it will run again, and stays open until then
            self._failed.add(trial.trial_id)
        elif trial.trial_id not in self._told:
            self._told.add(trial.trial_id)
            with self._history():
                self._tell(trial, result)

    def _tell_all(self, ended: Iterable[tuple[Trial, Result]]) -> None:
        """Tell how several trials ended; last those that diverged, which count as the worst of the others."""
        for trial, result in sorted(ended, key=lambda pair: pair[1].status == "diverged"):
            self.tell(trial, result)

    def _tell(self, trial: Trial, result: Result) -> None:
        import optuna
        from optuna.trial import TrialState

        number, known = self._numbers[trial.trial_id], self._optuna.get_trials(deepcopy=False)
        asked = optuna.Trial(self._optuna, known[number]._trial_id)
        if has_diverged := result.status == "diverged":
            asked.set_user_attr(STATUS, result.status)
        told = find_worst(known, self._study.directions) if has_diverged else measure(self._study, result)
        if told is None:
            self._optuna.tell(number, state=TrialState.FAIL)
            return
        for name, excess in told.excesses.items():
            if name not in asked.constraints:  # else a run that was killed noted it, and told no more
                asked.set_constraint(name, excess)
        if result.status == "stopped" and len(told.values) == 1:  # with several objectives Optuna cannot prune
            asked.report(told.values[0], result.epochs_trained)
            self._optuna.tell(number, state=TrialState.PRUNED)
        elif has_diverged and self._study.search.sampler == "tpe" and self._study.scheduler.name != "fifo":
            asked.report(told.values[0], 0)  # TPE holds whatever is complete for better than what was stopped
            self._optuna.tell(number, state=TrialState.PRUNED)
        else:
            self._optuna.tell(number, told.values)
