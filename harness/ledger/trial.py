"""A trial: one configuration and one seed on one dataset, identified by the hash of its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from models.settings import DEFAULTS, SEMANTICS_VERSION, TrialSettings

Phase = Literal["search", "select", "confirm"]
"""What a trial is for: to find good settings, to select the best of them over seeds, to confirm what they are worth."""


@dataclass(frozen=True)
class Trial:
    """One configuration and one seed, on one dataset."""

    settings: TrialSettings
    dataset: str
    dataset_hash: str
    population: str = ""  # the population that it trains in, if any (harness.search.population)
    plugins: tuple[str, ...] = ()  # SHA-256 of each plug-in that its model or network comes from
    # The fields below are not part of its identity.
    phase: Phase = field(default="search", compare=False)
    until: int | None = field(default=None, compare=False)  # the epoch to pause at
    current: Mapping[str, float] = field(default_factory=dict, compare=False)  # settings that its population changed
    varied: tuple[str, ...] = field(default=(), compare=False)  # settings in which trials of its study differ

    @cached_property
    def trial_id(self) -> str:
        """A hash of everything that determines the trial's numbers; it names the row and the MLflow run."""
        return self._hash(self.settings.to_dict())

    @cached_property
    def training_id(self) -> str:
        """A hash that trials share if one's epochs are the first epochs of the other; it names the folder."""
        settings = self.settings.to_dict()
        if not (self.settings.depends_on_length or self.population):
            settings.pop("epochs")
        return self._hash(settings)

    def _hash(self, settings: Mapping[str, Any]) -> str:
        # Settings at their defaults are left out, so that a setting added later changes no older trial's hash.
        given = {name: value for name, value in settings.items() if value != DEFAULTS.get(name)}
        content = {"settings": given, "dataset": self.dataset_hash, "semantics": SEMANTICS_VERSION}
        content |= {"population": self.population} if self.population else {}
        content |= {"plugins": self.plugins} if self.plugins else {}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def __deepcopy__(self, _: object) -> "Trial":
        """Itself, as it never changes: Tune copies what it is given several times."""
        return self

    @property
    def label(self) -> str:
        """A short name of the trial for logs, messages and MLflow: what sets it apart from others of its study."""
        values = {name: getattr(self.settings, name) for name in self.varied or ("alpha", "latent_dim")}
        named = [_name(name, value) for name, value in values.items() if value is not None]
        return " ".join([self.settings.model, *named, f"seed {self.settings.seed} ({self.trial_id[:6]})"])


def _name(setting: str, value: Any) -> str:
    """Name the value of a setting, such as `latent 8` or `hidden 400x400`."""
    if isinstance(value, tuple):
        value = "x".join(map(str, value))
    words = setting.removesuffix("_dim").replace("_", " ")
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"
