"""Which studies can be compared: searches of one space, by one metric, within the same constraints."""

from collections.abc import Sequence
from itertools import zip_longest

from harness.errors import InputError
from harness.study import Study

BUDGET = "epochs"  # which searches of one space may spend differently


def check_same_space(studies: Sequence[Study]) -> None:
    """Check that these are several studies, which search the same space of one dataset by the same metric.

    Raises:
        InputError: two do not, or there is one alone.
    """
    first = studies[0]
    if all(other.name == first.name for other in studies):
        raise InputError(f"{first.name}: nothing to compare it with; name a second study that searches the same space")
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
    if set(one.search.constraints) != set(other.search.constraints):
        return f"search.constraints ({_list_constraints(one)}, {_list_constraints(other)})"
    for i, (mine, others) in enumerate(zip_longest(one.list_extents(), other.list_extents())):
        if mine is None or others is None:
            return "the number of sub-spaces"
        for name in mine | others:
            if name != BUDGET and mine.get(name) != others.get(name):
                return f"space[{i}].{name}"
    return ""


def _list_constraints(study: Study) -> str:
    return " and ".join(map(str, study.search.constraints)) or "none"
