"""Which studies can be compared: searches of one space, by one metric."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from harness.errors import InputError
from harness.study import Study
from models.settings import SETTINGS

BUDGET = "epochs"  # which searches of one space may spend differently


def check_same_space(studies: Sequence[Study]) -> None:
    """Check that studies search the same space of one dataset by the same metric.

    Raises:
        InputError: two do not.
    """
    first = studies[0]
    for other in studies[1:]:
        if difference := _find_difference(first, other):
            raise InputError(
                f"{first.name} and {other.name} differ in {difference}; compare searches of one space by one metric"
            )


def _find_difference(one: Study, other: Study) -> str:
    if one.dataset != other.dataset:
        return f"dataset ({one.dataset}, {other.dataset})"
    if one.metric != other.metric:
        return f"search.metric ({one.metric}, {other.metric})"
    for i, (mine, others) in enumerate(zip_longest(_list_extents(one), _list_extents(other))):
        if mine is None or others is None:
            return "the number of sub-spaces"
        for name in SETTINGS:
            if name != BUDGET and mine[name] != others[name]:
                return f"space[{i}].{name}"
    return ""


def _list_extents(study: Study) -> list[dict[str, tuple[Any, ...]]]:
    """What each setting of each sub-space ranges over, however it is spelled."""
    return [
        {name: sub[name].extent if name in sub else (setting.default,) for name, setting in SETTINGS.items()}
        for sub in study.sub_spaces()
    ]
