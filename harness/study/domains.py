"""The domain of a setting in a study: one value, a list of values, or an interval to sample from."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_origin

from analysis.wording import find_near
from harness.study.slips import mend_number
from harness.study.yamlfile import format_inline
from models.setting import SETTING_TYPES, SETTINGS, check_setting, list_choices

if TYPE_CHECKING:
    import optuna

FINITE_KINDS = ("grid", "range", "choice")
INTERVAL_KINDS = ("uniform", "loguniform", "int")

MAX_VALUES = 100_000
MAX_WHOLE = 2**31 - 1
"""A larger whole number is taken for a typing error."""


@dataclass(frozen=True)
class Finite:
    """A setting that takes one of several values."""

    setting: str
    kind: Literal["scalar", "grid", "range", "choice"]
    values: tuple[Any, ...]
    spelling: Any  # as in the study file

    @property
    def is_searched(self) -> bool:
        """Whether there is more than one value."""
        return len(self.values) > 1

    @property
    def extent(self) -> tuple[Any, ...]:
        """The values, sorted: equal for domains that are the same, in whatever order they are listed."""
        return tuple(sorted(self.values))

    @property
    def largest(self) -> Any:
        """The largest value, of a number."""
        return max(self.values)

    def at(self, share: float) -> Any:
        """The value at a share, from 0 to 1, of the list; each value has an equal part of it."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def find_share(self, value: Any) -> float:
        """How far through the list, sorted, a value stands, from 0 to 1."""
        return sorted(self.values).index(value) / max(len(self.values) - 1, 1)

    def list_values(self, at_most: int) -> Sequence[Any] | None:  # noqa: ARG002 (their number is given)
        """List all values."""
        return self.values

    def suggest(self, trial: "optuna.Trial", name: str) -> Any:
        """Ask an Optuna sampler for a value."""
        if len(self.values) == 1:
            return self.values[0]
        if self.kind == "range":
            first, last, step = self.values[0], self.values[-1], self.values[1] - self.values[0]
            if all(isinstance(v, int) for v in self.values):
                return trial.suggest_int(name, first, last, step=step)
            # By index, as the length of a range of fractions is not exactly a whole number of steps in floating point.
            return self.values[trial.suggest_int(f"{name} (place)", 0, len(self.values) - 1)]
        by_label = {_label(v): v for v in self.values}
        return by_label[trial.suggest_categorical(name, list(by_label))]

    def find_suggestion(self, name: str, value: Any) -> dict[str, Any] | None:
        """What an Optuna sampler would have suggested for a value, by parameter; None if it is not in the domain."""
        if value not in self.values:
            return None
        if len(self.values) == 1:
            return {}
        if self.kind == "range":
            is_whole = all(isinstance(v, int) for v in self.values)
            return {name: value} if is_whole else {f"{name} (place)": self.values.index(value)}
        return {name: _label(value)}


@dataclass(frozen=True)
class Interval:
    """A setting that is sampled between two ends, both included."""

    setting: str
    kind: Literal["uniform", "loguniform", "int"]
    low: float
    high: float
    spelling: Any
    is_searched: ClassVar[bool] = True

    @property
    def largest(self) -> Any:
        """The high end."""
        return int(self.high) if self.kind == "int" else self.high

    def at(self, share: float) -> Any:
        """The value at a share, from 0 to 1, of the way from the low end to the high one."""
        if self.kind == "int":
            low, high = int(self.low), int(self.high)
            return min(low + int(share * (high - low + 1)), high)
        if self.kind == "loguniform":
            value = self.low * math.exp(share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def find_share(self, value: Any) -> float:
        """How far a value lies, from 0 to 1, of the way from the low end to the high one."""
        if self.kind == "loguniform":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    @property
    def extent(self) -> tuple[Any, ...]:
        """The ends and how values lie between them: equal for intervals that are the same, and no list's."""
        return self.kind, self.low, self.high

    def list_values(self, at_most: int) -> Sequence[Any] | None:
        """List all values if they are whole numbers, and no more than `at_most`; otherwise None."""
        low, high = int(self.low), int(self.high)
        return range(low, high + 1) if self.kind == "int" and high - low < at_most else None

    def suggest(self, trial: "optuna.Trial", name: str) -> Any:
        """Ask an Optuna sampler for a value."""
        if self.kind == "int":
            return trial.suggest_int(name, int(self.low), int(self.high))
        return trial.suggest_float(name, self.low, self.high, log=self.kind == "loguniform")

    def find_suggestion(self, name: str, value: Any) -> dict[str, Any] | None:
        """What an Optuna sampler would have suggested for a value, by parameter; None if it is not in the domain."""
        return {name: value} if value is not None and self.low <= value <= self.high else None


Domain = Finite | Interval


def _label(value: Any) -> Any:
    """A value as Optuna's storage holds it, plain: a list of widths is given as JSON."""
    return json.dumps(value) if isinstance(value, tuple) else value


def parse_domain(setting: str, raw: Any) -> Domain:
    """Parse a domain from its YAML form.

    Raises:
        ValueError: one clause that says what is wrong and what would be right.
    """
    if isinstance(raw, list) and raw and (get_origin(SETTING_TYPES[setting]) is not tuple or list in map(type, raw)):
        parse_domain(setting, {"grid": raw})  # what is wrong with the values themselves is said first
        if setting == "model":
            raise ValueError("a list; give one model to each sub-space")
        raise ValueError(f"a list; write {format_inline({'grid': raw})}")
    if not isinstance(raw, dict):
        return Finite(setting, "scalar", (_check(setting, raw),), raw)
    kinds = (*FINITE_KINDS, *INTERVAL_KINDS)
    if len(raw) != 1 or next(iter(raw)) not in kinds:
        raise ValueError(f"not a domain; give one value, or one of {', '.join(kinds)}: [...]")
    kind, items = next(iter(raw.items()))
    if not isinstance(items, list):
        raise ValueError(f"{kind} needs a list, such as {_EXAMPLES[kind]}")
    if get_origin(SETTING_TYPES[setting]) is tuple and kind not in ("grid", "choice"):
        raise ValueError(f"{setting} is a list; use {{grid: [[128], [400, 200]]}} instead of {kind}")
    if kind in INTERVAL_KINDS:
        return _parse_interval(setting, kind, items, raw)
    if kind == "range":
        items = _expand_range(items)
    if not items:
        raise ValueError(f"an empty {kind}; give at least one value, such as {_EXAMPLES[kind]}")
    values = tuple(_check(setting, item) for item in items)
    if setting == "model":
        raise ValueError(f"a {kind}; give one model to each sub-space")
    if len(set(values)) < len(values):
        raise ValueError(f"a value is given twice in the {kind}; remove one")
    return Finite(setting, kind, values, raw)


_EXAMPLES = {
    "grid": "{grid: [8, 16]}",
    "choice": "{choice: [8, 16]}",
    "range": "{range: [8, 200, 8]}",
    "uniform": "{uniform: [0.1, 0.5]}",
    "loguniform": "{loguniform: [1e-4, 1e-2]}",
    "int": "{int: [8, 200]}",
}


def _check(setting: str, value: Any) -> Any:
    if value is None:
        raise ValueError("no value; give one, or remove it")
    try:
        checked = check_setting(setting, value)
    except ValueError as error:
        kinds = _kinds(setting)
        several = "[{}]" if get_origin(SETTING_TYPES[setting]) is tuple else "{{grid: [{}]}}"
        mended = mend_number(value, several, is_whole=float not in kinds) if {int, float} & {*kinds} else ""
        if isinstance(value, str) and not mended and str in map(type, choices := list_choices(setting)):
            near = find_near(value, choices)
            mended = f"; did you mean {near}?" if near else ""
        raise ValueError(f"{str(error).removeprefix(f'{setting}: ')}{mended}") from None
    for number in checked if isinstance(checked, tuple) else (checked,):
        if isinstance(number, int) and number > MAX_WHOLE:
            raise ValueError(f"{number} is too large; give at most {MAX_WHOLE}")
    return checked


def _parse_interval(setting: str, kind: Any, items: list[Any], raw: Any) -> Interval:
    if len(items) != 2 or not all(_is_number(item) for item in items):
        raise ValueError(f"{kind} needs two numbers, such as {_EXAMPLES[kind]}")
    low, high = (_check(setting, item) for item in items)
    if not low < high:
        raise ValueError(f"{kind} needs its low end ({low}) below its high end ({high}); swap or change them")
    if low <= 0 and (kind == "loguniform" or SETTINGS[setting].metadata["or_zero"]):
        raise ValueError(f"{kind} needs a low end above 0, not {low}")
    integral = int in _kinds(setting)
    if integral and kind != "int":
        raise ValueError(f"{setting} is a whole number; use {_EXAMPLES['int']} instead of {kind}")
    if kind == "int" and not integral:
        raise ValueError(f"{setting} is not a whole number; use {_EXAMPLES['uniform']} instead of int")
    return Interval(setting, kind, low, high, raw)


def _expand_range(items: list[Any]) -> list[Any]:
    if len(items) != 3 or not all(_is_number(item) for item in items):
        raise ValueError(f"range needs three numbers [first, last, step], such as {_EXAMPLES['range']}")
    first, last, step = items
    if not (step > 0 and first <= last and all(map(math.isfinite, items))):
        raise ValueError(f"range needs first <= last and a step above 0, not {items}")
    if (last - first) / step >= MAX_VALUES:
        raise ValueError(f"range has more than {MAX_VALUES} values; give a larger step")
    count = math.floor((last - first) / step + 1e-9) + 1
    # Rounding to twelve digits turns 0.30000000000000004 into 0.3.
    return [first + i * step if isinstance(step, int) else float(f"{first + i * step:.12g}") for i in range(count)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kinds(setting: str) -> tuple[Any, ...]:
    annotation = SETTING_TYPES[setting]
    return (annotation, *get_args(annotation))


def build_json_schema(setting: str) -> dict[str, Any]:
    """Build the JSON schema of a setting in a study file: a value, or a domain of values."""
    meta, kinds = SETTINGS[setting].metadata, _kinds(setting)
    numeric = [k for k in kinds if k in (int, float)]
    value: dict[str, Any]
    if get_origin(SETTING_TYPES[setting]) is tuple:
        width = {"type": "integer", "minimum": 1, "maximum": MAX_WHOLE}
        value = {"anyOf": [width, {"type": "array", "items": width, "minItems": 1}]}
    elif numeric:
        value = {"type": "integer" if numeric[0] is int else "number"}
        bounds = {"at_least": "minimum", "at_most": "maximum", "below": "exclusiveMaximum"}
        value |= {keyword: meta[key] for key, keyword in bounds.items() if meta[key] is not None}
        value |= {"maximum": MAX_WHOLE} if numeric[0] is int else {}
        if meta["or_zero"]:
            value = {"anyOf": [{"const": 0}, value]}
    else:
        value = {"enum": list_choices(setting)}
    if setting == "model":  # of which a sub-space has one
        return {"description": meta["help"], **value}
    forms: list[dict[str, Any]] = [
        value,
        _domain_schema("grid", value, 1),
        _domain_schema("choice", value, 1),
    ]
    if numeric and get_origin(SETTING_TYPES[setting]) is not tuple:
        forms.append(_domain_schema("range", {"type": "number"}, 3, 3))
        intervals = ["int"] if numeric[0] is int else ["uniform", "loguniform"]
        forms += [_domain_schema(kind, value, 2, 2) for kind in intervals]
    return {"description": meta["help"], "anyOf": forms}


def _domain_schema(kind: str, items: dict[str, Any], least: int, most: int | None = None) -> dict[str, Any]:
    array = {"type": "array", "items": items, "minItems": least} | ({"maxItems": most} if most else {})
    return {"type": "object", "properties": {kind: array}, "required": [kind], "additionalProperties": False}
