"""The space of a study as parameters of an Optuna sampler."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.datasets import DatasetIdentity
from harness.ledger.trial import Trial
from harness.search.source import make_trial
from harness.study import Study
from harness.study.domains import Domain
from models.settings import TrialSettings

if TYPE_CHECKING:
    import optuna


class SearchSpace:
    """The sub-spaces of a study; which of them a trial lies in is a parameter, too."""

    def __init__(self, study: Study, dataset: DatasetIdentity) -> None:
        self._study, self._dataset = study, dataset
        self.sub_spaces = study.sub_spaces()
        self._names = _name_parameters(self.sub_spaces)
        self._labels = [str(i) for i in range(len(self.sub_spaces))]

    def __str__(self) -> str:
        """All domains, in whatever order their values stand: equal for spaces that are the same."""
        spaces = [{setting: repr(domain.extent) for setting, domain in space.items()} for space in self.sub_spaces]
        return json.dumps(spaces, sort_keys=True)

    def suggest(self, asked: "optuna.Trial") -> dict[str, Any]:
        """Ask an Optuna sampler for a configuration."""
        index = int(asked.suggest_categorical("space", self._labels)) if len(self._labels) > 1 else 0
        return {
            setting: domain.suggest(asked, self._names[index][setting])
            for setting, domain in self.sub_spaces[index].items()
        }

    def make_trial(self, configuration: Mapping[str, Any]) -> Trial:
        """Make the trial of a configuration.

        Raises:
            InputError: the dataset cannot have it.
        """
        return make_trial(self._study, self._dataset, configuration, self._study.seeds[0])

    def locate(self, trial: Trial) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        """Find a trial in the space: its sub-space, its configuration there, and Optuna's parameters; None: outside.

        Another sub-space may name fewer settings and hold the rest of them at other values: that is another trial.
        """
        for configuration, parameters in self.find_suggestions(trial.settings):
            if self.make_trial(configuration).trial_id == trial.trial_id:
                return int(parameters.get("space", 0)), configuration, parameters
        return None

    def find_suggestions(self, settings: TrialSettings) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Find what a sampler would have suggested for a trial's settings: a configuration and Optuna's parameters.

        One for each sub-space that holds all of them that it names; what it does not name may differ.
        """
        for label, space, names in zip(self._labels, self.sub_spaces, self._names, strict=True):
            configuration = {setting: getattr(settings, setting) for setting in space}
            found = [domain.find_suggestion(names[s], configuration[s]) for s, domain in space.items()]
            parameters: dict[str, Any] = {"space": label} if len(self._labels) > 1 else {}
            for suggestion in found:
                parameters |= suggestion or {}
            if None not in found:
                yield configuration, parameters


def _name_parameters(spaces: Sequence[Mapping[str, Domain]]) -> list[dict[str, str]]:
    """Name each setting for the sampler: the same in sub-spaces that give it the same domain, different otherwise."""
    names: list[dict[str, str]] = []
    for i, space in enumerate(spaces):
        names.append({})
        for setting, domain in space.items():
            others = [other[setting] for other in spaces if setting in other]
            names[i][setting] = setting if all(other == domain for other in others) else f"{setting}[{i}]"
    return names
