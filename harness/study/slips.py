"""What to write instead of a slip that is often made: the end of a message, empty where nothing fits."""

import math
from typing import Any

from analysis.yaml12 import read_number
from harness.study.yamlfile import format_inline
from models.choices import MODELS


def mend_number(value: Any, several: str, *, is_whole: bool) -> str:
    """The fix for text that was meant as a number: in quotes, with _, with a comma for a point or between numbers.

    several: how more than one is written, with {} for the numbers. is_whole: no number with a point is meant.
    """
    if not isinstance(value, str):
        return ""
    parts = [part.strip().replace("_", "") for part in value.split(",")]
    if not all(map(_is_number, parts)):
        return ""
    listed = several.format(", ".join(parts))
    if len(parts) == 1:
        return f"; write {parts[0]}, without quotes and _"
    point = ".".join(parts)
    may_be_fraction = not is_whole and " " not in value and _is_number(point)
    return f"; write {listed}" + (f", or {point} with a point" if may_be_fraction else "")


def mend_list(value: Any) -> str:
    """The fix for what should be a list: one value, values with commas, a domain, a mapping without its dash."""
    match value:
        case {"grid": [*items]} | {"choice": [*items]}:
            pass
        case {"model": model}:
            return f"; begin it with a dash, as in - model: {model}"
        case dict() | None | "":
            return ""
        case str() if value in MODELS:
            return f"; write [{{model: {value}}}]"
        case str():
            mended = mend_number(value, "[{}]", is_whole=True) if "," in value else ""
            return mended or f"; write [{', '.join(part.strip() for part in value.split(','))}]"
        case _:
            items = [value]
    return f"; write {format_inline(items)}"


def mend_text(value: Any) -> str:
    """The fix for what should be text, and reads as something else."""
    return "; write it in quotes" if isinstance(value, int | float) else ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(read_number(text))
    except (ValueError, OverflowError):
        return False
