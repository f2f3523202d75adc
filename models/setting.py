"""One setting: its meaning, its legal values, the models that have it, and beside which others it means something."""

import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import MISSING, Field, field
from typing import Any, get_args, get_origin

from models.choices import MODELS, NETWORKS

SETTINGS: ChainMap[str, Field[Any]] = ChainMap({}, {})
SETTING_TYPES: ChainMap[str, Any] = ChainMap({}, {})
"""Every setting by name, and its type. Ours, the last map, are those of `models.settings`, the first a plug-in's."""

MIN_PROB = 1e-6
"""Nearer to 0 or 1, the logarithms of a probability and of its complement are computed of a clamped one.

It is the distance in the code of "[Re] Variational Sparse Coding"."""

MIN_FLOAT, MAX_FLOAT = 1.2e-38, 3.4e38
"""The positive numbers that float32 holds in full: beyond them training would compute with 0 or infinity."""


def setting(
    default: Any = MISSING,
    *,
    meaning: str,
    of: tuple[str, ...] = (),
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    or_zero: bool = False,
    example: Any = None,
    only_with: tuple[str, ...] = (),
    not_with: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Make a field of the settings.

    of: the models that have the setting, all if empty; in other models it is None. at_least, at_most, below: bounds of
    the number; below is not itself legal. or_zero: 0 is legal, too. example: a legal value for messages, needed where
    there is no default. only_with, not_with: another setting's name, then values of it with which alone, or without
    which, the setting means something; elsewhere it stays at its default. defaults: of models, by name, whose default
    is another.

    Raises:
        ValueError: there is neither a default nor an example.
    """
    if default is MISSING and example is None:
        raise ValueError("a setting without a default needs an example, which messages show; give example=...")
    metadata = {
        "help": meaning,
        "of": of,
        "default": default,
        "at_least": at_least,
        "at_most": at_most,
        "below": below,
        "or_zero": or_zero,
        "example": default if example is None else example,
        "only_with": only_with,
        "not_with": not_with,
        "defaults": defaults or {},
    }
    return field(default=None if of else default, metadata=metadata)


def belongs(name: str, model: str) -> bool:
    """Whether a model has a setting of this name."""
    of = SETTINGS[name].metadata["of"]
    return not of or model in of


def default_of(name: str, model: str) -> Any:
    """A model's value of a setting that is not given: None where it has no such setting, MISSING where it needs one."""
    meta = SETTINGS[name].metadata
    return meta["defaults"].get(model, meta["default"]) if belongs(name, model) else None


def list_required(model: str) -> list[str]:
    """List the settings that a user must give for a model: those without a default."""
    return [name for name, f in SETTINGS.items() if belongs(name, model) and f.metadata["default"] is MISSING]


def refuse_setting(name: str, model: str) -> str:
    """Format the message for a user who gives a setting to a model that does not have it."""
    return f"a {model} has none; remove it, or set model: {' or '.join(SETTINGS[name].metadata['of'])}"


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a setting means something beside the others, by name; one that is not given is at its default."""
    metadata = SETTINGS[name].metadata
    only_with, not_with = metadata["only_with"], metadata["not_with"]
    if not_with and value_of(not_with[0], values) in not_with[1:]:
        return False
    # What it depends on may itself mean nothing here.
    return not only_with or (value_of(only_with[0], values) in only_with[1:] and applies(only_with[0], values))


def value_of(name: str, values: Mapping[str, Any]) -> Any:
    """A setting's value among others, or its default."""
    return values.get(name, SETTINGS[name].metadata["default"])


def refuse_beside(name: str, values: Mapping[str, Any]) -> str:
    """Format the message for a user who gives a setting that means nothing beside the others."""
    only_with, not_with = (SETTINGS[name].metadata[key] for key in ("only_with", "not_with"))
    other, *needed = only_with or (not_with[0], SETTINGS[not_with[0]].metadata["default"])
    if not applies(other, values):
        return refuse_beside(other, values)
    return f"{other} {value_of(other, values)} has none; remove it, or set {other}: {' or '.join(needed)}"


def check_setting(name: str, value: Any) -> Any:
    """Return the value in the setting's type: 3 becomes 3.0 where a float is meant, a list becomes a tuple.

    Raises:
        ValueError: the value is not legal; the message names the setting, the value and the fix.
    """
    if value is None and SETTINGS[name].default is None:
        return None
    if get_origin(SETTING_TYPES[name]) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if not items:
            raise ValueError(f"{name}: an empty list; give at least one width, such as [400]")
        return tuple(_check_number(name, item, int) for item in items)
    kind = _list_kinds(name)[0]
    if kind in (int, float):
        return _check_number(name, value, kind)
    choices = list_choices(name)
    if value not in choices:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(str, choices))}")
    return value


def list_choices(name: str) -> list[str]:
    """List the texts that a setting can be."""
    if name in ("model", "network"):
        return list(MODELS if name == "model" else NETWORKS)
    return [choice for kind in _list_kinds(name) for choice in (get_args(kind) or (kind,))]


def _list_kinds(name: str) -> list[Any]:
    """List the types that a setting can be of, beside None."""
    return [t for t in (get_args(SETTING_TYPES[name]) or (SETTING_TYPES[name],)) if t is not type(None)]


def _check_number(name: str, value: Any, kind: type) -> int | float:
    integral = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and not integral):
        raise ValueError(
            f"{name}: {value!r} is not {'a whole number, such as 16' if kind is int else 'a number, such as 0.2'}"
        )
    try:
        number: int | float = kind(value)
    except OverflowError:  # a whole number larger than any float
        number = math.inf
    low, most, below, or_zero, example = (
        SETTINGS[name].metadata[key] for key in ("at_least", "at_most", "below", "or_zero", "example")
    )
    if low is None or (or_zero and number == 0):
        return number
    zero = "0 or " if or_zero else ""
    if most is not None and not low <= number <= most:
        raise ValueError(f"{name}: {value} is not {zero}inside [{low}, {most}]; give a number such as {example}")
    if below is not None and not low <= number < below:
        raise ValueError(f"{name}: {value} is not {zero}inside [{low}, {below}); give a number such as {example}")
    if not number >= low:
        raise ValueError(f"{name}: {value} is too small; give at least {low}")
    return number
