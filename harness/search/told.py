"""What a sampler is told of a trial that has ended: its values; of one that diverged, the worst that is known."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.ledger.result import Result
from harness.study import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATUS = "status"
"""The attribute of a trial that diverged, which says so: what was told of it is no result."""


class Told(NamedTuple):
    """The value of each metric, and the excess over each constraint, by its name."""

    values: list[float]
    excesses: dict[str, float]


def measure(study: Study, result: Result) -> Told | None:
    """Measure the last values of a trial; None if it lacks one."""
    values = [result.last_value(metric) for metric in study.objectives]
    bounded = {constraint: result.last_value(constraint.metric) for constraint in study.search.constraints}
    known = [value for value in values if value is not None]
    excesses = {str(c): c.measure_excess(value) for c, value in bounded.items() if value is not None}
    return Told(known, excesses) if (len(known), len(excesses)) == (len(values), len(bounded)) else None


def find_worst(trials: "Iterable[FrozenTrial]", directions: Sequence[str]) -> Told | None:
    """Find the worst of each that these trials came to, those apart that diverged; None if none has a value."""
    known = [trial for trial in trials if trial.values and STATUS not in trial.user_attrs]
    if not known:
        return None
    by_metric = zip(directions, zip(*(trial.values for trial in known), strict=True), strict=True)
    values = [min(values) if direction == "maximize" else max(values) for direction, values in by_metric]
    return Told(values, {name: max(trial.constraints[name] for trial in known) for name in known[0].constraints})
