"""How a trial ended, or where it stands, and the events that tell of it while it runs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["running", "finished", "stopped", "diverged", "failed"]

Row = dict[str, float | int | None]
"""Metrics of one epoch, by name; `epoch` counts from 1."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended, or where it stands."""

    status: Status
    history: list[Row] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)  # of the final evaluation
    evaluated: list[str] = field(default_factory=list)  # which evaluations `metrics` holds
    error: str | None = None
    peak_memory_mb: float | None = None
    device: str | None = None
    host: str | None = None

    @property
    def epochs_trained(self) -> int:
        """Epochs that the history holds."""
        return len(self.history)

    @property
    def train_seconds(self) -> float:
        """Time spent in training steps, evaluation left out."""
        return sum(float(row["seconds"] or 0) for row in self.history)

    def last_value(self, metric: str) -> float | None:
        """What the trial reached: the last value of a metric of its epochs, or the time that it took."""
        if metric == "train_seconds":
            return self.train_seconds
        return next((row[metric] for row in reversed(self.history) if row.get(metric) is not None), None)


@dataclass(frozen=True)
class Epoch:
    """A trial has trained an epoch, now or in an earlier run."""

    metrics: Row


@dataclass(frozen=True)
class Paused:
    """A trial has trained the epoch after which it waits for the rest of its population."""

    metrics: Row  # of that epoch


@dataclass(frozen=True)
class Ended:
    """A trial has ended; what it trained and measured is stored, and so is this result."""

    result: Result

    @property
    def metrics(self) -> Row:
        """Those of the last epoch and of the final evaluation; none where an error ended the trial."""
        return {**self.result.history[-1], **self.result.metrics} if self.result.status == "finished" else {}


Event = Epoch | Paused | Ended
"""What happens to a trial, in order: epochs, of which the last comes as the pause or the end that it leads to."""


def needs_training(result: Result | None, *, evaluate: Iterable[str], stops_early: bool) -> bool:
    """Whether a trial has to run: it never ended, failed, was stopped by a scheduler that is gone, or lacks a measure.

    A trial that ended but lacks a measure goes on from its checkpoint: nothing is trained twice.
    """
    if result is None or result.status in ("failed", "running"):
        return True
    if result.status == "stopped":
        return not stops_early
    return result.status == "finished" and not set(evaluate) <= set(result.evaluated)


def drop_nonfinite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without entries that are not finite numbers: JSON and MLflow have no place for those."""
    return {k: v for k, v in values.items() if isinstance(v, int | str) or (v is not None and math.isfinite(v))}
