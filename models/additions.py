"""Models, networks and settings from outside, such as a plug-in's, beside our own. Needs no torch."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from typing import Any

from models.choices import MODELS, NETWORKS, Network, Parts
from models.setting import SETTING_TYPES, SETTINGS


@dataclass(frozen=True)
class Additions:
    """What is there besides our own, each by name."""

    models: Mapping[str, Parts] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    settings: Mapping[str, Field[Any]] = field(default_factory=dict)  # those of ours that more models have, too
    types: Mapping[str, Any] = field(default_factory=dict)  # of the settings


def install(additions: Additions) -> None:
    """Make these the additions of this process, in the place of those before."""
    for where, added in (
        (MODELS, additions.models),
        (NETWORKS, additions.networks),
        (SETTINGS, additions.settings),
        (SETTING_TYPES, additions.types),
    ):
        where.maps[0] = dict(added)  # type: ignore[arg-type]
