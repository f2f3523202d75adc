"""The result of a trial, and the events that report its epochs and its end while it runs."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import hide_secrets
from harness.study.constraints import Constraint

Status = Literal["running", "finished", "stopped", "diverged", "failed"]

DONE: tuple[Status, ...] = ("finished", "stopped")
FAILED: tuple[Status, ...] = ("failed", "diverged")

Row = dict[str, float | int | None]
"""Metrics of one epoch, by name; `epoch` counts from 1."""


def measure_spending(row: Row, seconds: float) -> dict[str, float]:
    """What a trial has spent by the end of an epoch, by the names of its reports to schedulers.

    seconds: of training, over all its epochs.
    """
    return {"epoch": row.get("epoch") or 0, "step": row.get("step") or 0, "train_seconds": seconds}


def find_end(began: float | None) -> float:
    """The time, in seconds since 1970, of what ends now: the clock may have been set back since it began."""
    return max(time.time(), began or 0.0)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended, or how far it is."""

    status: Status
    history: Sequence[Row] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)  # of the final evaluation
    evaluated: list[str] = field(default_factory=list)  # which evaluations `metrics` holds
    error: str | None = None
    peak_memory_mb: float | None = None
    device: str | None = None
    host: str | None = None
    began: float | None = field(default=None, compare=False)  # seconds since 1970: when a process first took it up
    ended: float | None = field(default=None, compare=False)
    spent: float | None = field(default=None, compare=False)  # seconds that processes had it
    stopped_by: str | None = field(default=None, compare=False)  # see `describe_stopping`; None if nobody noted it

    def __post_init__(self) -> None:
        if self.error is not None:  # any library's words, which may quote an address, and are stored and shown
            object.__setattr__(self, "error", hide_secrets(self.error))

    @property
    def epochs_trained(self) -> int:
        """How many epochs the history holds."""
        return len(self.history)

    @property
    def train_seconds(self) -> float:
        """Time spent in training steps, without evaluation."""
        return sum(float(row["seconds"] or 0) for row in self.history)

    @property
    def span(self) -> tuple[float, float] | None:
        """When it ran, in seconds since 1970, as if without a pause before its end; None if it has not ended."""
        if self.ended is None:
            return None
        return self.ended - (self.train_seconds if self.spent is None else self.spent), self.ended

    def last_value(self, metric: str) -> float | None:
        """The last value of a metric over the trial's epochs, or the time that it took; None if it has no value."""
        if metric == "train_seconds":
            return self.train_seconds
        return next((row[metric] for row in reversed(self.history) if row.get(metric) is not None), None)


@dataclass(frozen=True)
class TakenOver:
    """What a trial goes on from was trained by another study, wholly or at first."""

    study: str  # its name
    num_epochs: int  # that were stored


@dataclass(frozen=True)
class Epoch:
    """A trial has trained an epoch, now or in an earlier run."""

    metrics: Row
    taken_over: TakenOver | None = None


@dataclass(frozen=True)
class Paused:
    """A trial has trained the epoch after which it waits for the rest of its population."""

    metrics: Row  # of that epoch


@dataclass(frozen=True)
class Ended:
    """A trial has ended; this result and what it trained are stored."""

    result: Result
    taken_over: TakenOver | None = None

    @property
    def metrics(self) -> Row:
        """Those of the last epoch and of the final evaluation; none if an error ended the trial."""
        return {**self.result.history[-1], **self.result.metrics} if self.result.status == "finished" else {}


Event = Epoch | Paused | Ended
"""What a trial yields while it runs: its epochs but the last, then its pause or its end, which includes the last."""


def list_violated(result: Result, constraints: Iterable[Constraint]) -> list[Constraint]:
    """List the constraints that the last values of a trial break; one whose metric it lacks is none of them."""
    values = [(constraint, result.last_value(constraint.metric)) for constraint in constraints]
    return [constraint for constraint, value in values if value is not None and constraint.measure_excess(value) > 0]


def drop_nonfinite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop entries that are missing, infinite or NaN, which JSON and MLflow cannot hold."""
    return {k: v for k, v in values.items() if isinstance(v, int | str) or (v is not None and math.isfinite(v))}
