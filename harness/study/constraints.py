"""Constraints of a search: what the trials that it looks for keep to, such as `val/nonzero_fraction <= 0.2`."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

PATTERN = r"\s*(\S+)\s*(<=|>=)\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*"
EXAMPLE = "val/nonzero_fraction <= 0.2"


@dataclass(frozen=True)
class Constraint:
    """A bound on the last value of a metric."""

    metric: str
    sign: Literal["<=", ">="]
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {repr(self.bound).removesuffix('.0')}"

    def measure_excess(self, value: float) -> float:
        """Measure how far a value lies beyond the bound, in the metric's unit; at most 0 where it keeps to it."""
        return value - self.bound if self.sign == "<=" else self.bound - value


def parse_constraint(raw: Any) -> Constraint:
    """Parse a constraint from its YAML form.

    Raises:
        ValueError: one clause that says what is wrong and what would be right.
    """
    match = re.fullmatch(PATTERN, raw) if isinstance(raw, str) else None
    if match is None or not math.isfinite(float(match[3])):
        raise ValueError(f"{raw!r} is not a metric, <= or >=, and a number; write one such as {EXAMPLE}")
    return Constraint(match[1], "<=" if match[2] == "<=" else ">=", float(match[3]))


ConstraintField = Annotated[
    Constraint,
    PlainValidator(parse_constraint),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"}),
]
"""A constraint as a field of a study file."""
