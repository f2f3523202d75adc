"""Population-based training: trials that differ in few settings train side by side, and the worst copy the best.

After every generation of epochs the worst quarter of a population takes over the parameters and the settings of members
of the best quarter, and its settings are then changed by a factor (Jaderberg et al., 2017, Population Based Training of
Neural Networks: truncation selection, perturbation by 0.8 or 1.2).

Tune's scheduler of this kind keeps its state in memory, draws from Python's global generator, and depends on when
results arrive. Here a generation is a function of the states that its members have stored, so that a population that
was killed resumes bit for bit as if it had not been.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.errors import InputError
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, take_over
from harness.search.open_trials import is_open
from harness.search.source import describe_forgotten
from harness.storage.objects import in_parallel
from harness.storage.place import HERE, Place
from harness.study import Study
from harness.study.sections import MIN_POPULATION

FACTORS = (0.8, 1.2)
SHARE = 4
"""The worst 1/SHARE of a population are replaced by members of the best 1/SHARE."""


@dataclass(frozen=True)
class Exploit:
    """One member takes over the state of another."""

    loser: str  # trial_ids
    donor: str


class PopulationSource:
    """The trials of a study under population-based training, a generation at a time."""

    def __init__(
        self,
        study: Study,
        trials: Iterable[Trial],
        study_folder: Path,
        *,
        read_only: bool = False,
        place: Place = HERE,
    ) -> None:
        """read_only: only list the trials; another process may be running the study.

        place: keeps the states, where the folder is only this machine's.
        """
        populations: dict[str, list[Trial]] = {}
        for trial in trials:
            shared = {k: v for k, v in trial.settings.to_dict().items() if k not in study.scheduler.perturb}
            populations.setdefault(json.dumps(shared), []).append(trial)
        self._populations = [_Population(study, members, study_folder, place) for members in populations.values()]
        self.trials: Sequence[Trial] = [trial for p in self._populations for trial in p.members]
        self.num_trials = len(self.trials)
        self._of = {trial.trial_id: p for p in self._populations for trial in p.members}
        self.notices = describe_forgotten(study, self.trials, study_folder)
        if not read_only:
            for population in self._populations:
                if (lost := population.repair()) is not None:
                    self.notices.append(
                        f"The population of {lost.label} begins anew: the state of this member is lost, and others "
                        "have copied from it."
                    )
                population.begin_generation()
                self._note_losses(population)

    @property
    def is_waiting(self) -> bool:
        """Whether a generation is running, which has to end before the next one begins."""
        return any(population.is_running for population in self._populations)

    def next(self) -> Trial | None:
        """Take a member that has not reached the end of its generation."""
        return next(filter(None, (population.next() for population in self._populations)), None)

    def tell(self, trial: Trial, result: Result) -> None:
        """Note that a member has reached the end of its generation, or has ended."""
        self._of[trial.trial_id].tell(trial, result)
        self._note_losses(self._of[trial.trial_id])

    def _note_losses(self, population: "_Population") -> None:
        of, num = population.members[0].label, len(population.members)
        notice = (
            f"The population of {of} has {num - population.num_lost} of {num} members left: the others diverged or "
            "failed, and are not replaced."
        )
        if population.num_lost and notice not in self.notices:
            self.notices.append(notice)


class _Population:
    """Trials that differ only in the settings that are perturbed."""

    def __init__(self, study: Study, trials: Sequence[Trial], study_folder: Path, place: Place) -> None:
        self._study = study
        name = _name_population(study, trials)
        self.members = [replace(trial, population=name) for trial in trials]
        self._folders = {trial.trial_id: TrialFolder(study_folder, trial, place) for trial in self.members}
        if len(trials) < MIN_POPULATION:
            complaint = (
                f"space: pbt needs a population of at least {MIN_POPULATION}, but one has {len(trials)} different "
                "members; give the settings that it perturbs more values, or draw more"
            )
            raise InputError(study.place_complaint(complaint))
        self._draws_from = int(name[:12], 16)
        self._waiting: list[Trial] = []
        self._running: set[str] = set()
        self.num_lost = 0  # members that diverged or failed, as far as the latest generation knows

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def next(self) -> Trial | None:
        if not self._waiting:
            return None
        trial = self._waiting.pop(0)
        self._running.add(trial.trial_id)
        return trial

    def tell(self, trial: Trial, result: Result) -> None:  # noqa: ARG002 (its folder has it)
        self._running.discard(trial.trial_id)
        if not self._running and not self._waiting:
            self._fetch()
            self.begin_generation()

    def _fetch(self) -> None:
        """Bring here what the members have stored; what is here may be a part alone, as a pack is."""
        in_parallel(TrialFolder.fetch, self._folders.values())

    def repair(self) -> Trial | None:
        """Repair what an earlier run left, before this run continues; returns the member whose loss undoes it all.

        A member that failed is trained again, unless the others have continued without it. If a member's state was
        lost, the population starts anew: the states that the member copied are gone, too, and its numbers depend on
        them.

        Raises:
            OSError: a state cannot be read just now, which does not make it lost.
        """
        self._fetch()
        results = {name: folder.read_result() for name, folder in self._folders.items()}
        lengths = {
            name: len(folder.read_history()) if (r := results[name]) is None or r.status == "failed" else len(r.history)
            for name, folder in self._folders.items()
        }
        interval = self._study.scheduler.interval
        begun = max(max(lengths.values()) - 1, 0) // interval * interval  # where the latest generation began
        for name, result in results.items():
            if result is not None and result.status == "failed" and lengths[name] >= begun:
                self._folders[name].forget_result()
        lost = [t for t in self.members if results[t.trial_id] is None and lengths[t.trial_id] < begun]
        if lost:
            for trial in lost:
                self._folders[trial.trial_id].check_readable()
            for folder in self._folders.values():
                folder.discard()
        return lost[0] if lost else None

    def begin_generation(self) -> None:
        """Begin the next generation from the states that the members have stored; do nothing if all have ended."""
        results = {name: folder.read_result() for name, folder in self._folders.items()}
        histories = {
            name: self._folders[name].read_history() if result is None else result.history
            for name, result in results.items()
        }
        self.num_lost = sum(r is not None and r.status in ("diverged", "failed") for r in results.values())
        current = {t.trial_id: _pick_settings(t, self._study.scheduler.perturb) for t in self.members}
        interval, length = self._study.scheduler.interval, self.members[0].settings.epochs
        slowest = min((len(histories[name]) for name, result in results.items() if result is None), default=length)
        until = interval
        while until <= slowest and until < length:
            exploits = self._evolve(histories, current, until)
            # A member that has trained further has taken over its new state already.
            if max(map(len, histories.values())) == until:
                for exploit in exploits:
                    take_over(self._folders[exploit.donor], self._folders[exploit.loser], until)
            until += interval
        for trial in self.members:
            result = results[trial.trial_id]
            # A member that failed is not trained again in this run: its population continues without it.
            is_over = result is not None and (result.status == "failed" or not is_open(self._study, trial, result))
            reached = len(histories[trial.trial_id])
            if not is_over and not until <= reached < length:  # which waits for the others
                goal = length if reached >= length else min(until, length)  # what it lacks is a measure
                self._waiting.append(replace(trial, until=goal, current=current[trial.trial_id]))

    def _evolve(
        self, histories: Mapping[str, Sequence[Row]], current: dict[str, dict[str, float]], epoch: int
    ) -> list[Exploit]:
        """Decide who takes over from whom after an epoch; changes the settings in `current` accordingly."""
        metric, sign = self._study.metric, -1 if self._study.mode == "max" else 1
        # Members that diverged or failed before this epoch take no part.
        values = {name: rows[epoch - 1].get(metric) for name, rows in histories.items() if len(rows) >= epoch}
        # A member without a value ranks last.
        ranked = sorted(values, key=lambda name: (values[name] is None, sign * (values[name] or 0.0)))
        # Of fewer than SHARE members that are left, still one; a last one has nobody to copy.
        size = max(len(ranked) // SHARE, 1) if len(ranked) > 1 else 0
        rng = np.random.Generator(np.random.PCG64([self._draws_from, epoch]))
        exploits = []
        for loser in ranked[len(ranked) - size :]:
            donor = ranked[int(rng.integers(size))]
            exploits.append(Exploit(loser, donor))
            current[loser] = {name: v * FACTORS[int(rng.integers(2))] for name, v in current[donor].items()}
        return exploits


def _pick_settings(trial: Trial, names: Iterable[str]) -> dict[str, float]:
    """The values that a trial gives some settings, without those that its model lacks."""
    values = {name: getattr(trial.settings, name) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None}


def _name_population(study: Study, trials: Sequence[Trial]) -> str:
    """A hash of everything that the numbers of the members depend on."""
    content = {
        "scheduler": study.scheduler.model_dump(mode="json", include={"name", "interval", "perturb"}),
        "metric": study.metric,
        "seed": study.search.seed,
        "members": [trial.trial_id for trial in trials],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
