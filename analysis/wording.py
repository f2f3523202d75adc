"""How things are written for a reader: numbers, units, models and settings, tables in Markdown."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

ALPHA = "α"  # noqa: RUF001  (a Greek letter, meant as one)
MODEL_LABELS = {"vae": "VAE", "vsc": "VSC"}


def decimal(value: float, decimals: int = 1) -> str:
    """The number with a proper minus sign, which zero never has."""
    rounded = round(value, decimals) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(mean: float, low: float, high: float, *, most: int = 2) -> str:
    """The mean and, where there is one, its interval, such as "38.3 (30.1 to 46.6)".

    Two digits of the interval's half-width are given, in at most `most` decimals.
    """
    half = (high - low) / 2
    if not math.isfinite(half):
        return decimal(mean, min(1, most))
    decimals = most if half == 0 else min(most, max(0, 1 - math.floor(math.log10(half))))
    return f"{decimal(mean, decimals)} ({decimal(low, decimals)} to {decimal(high, decimals)})"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def short_value(value: Any, digits: int = 3) -> str:
    """A setting's value as it is written in a label or on a tick: whole numbers in full."""
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else f"{value:.{digits}g}"


def plural(num: int, noun: str) -> str:
    """The number with its noun, as in "1 seed" and "3 studies"."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{num:,} {noun if num == 1 else many}"


def setting_label(name: str) -> str:
    """A setting's name as a reader says it; a metric keeps its own."""
    return {"alpha": ALPHA, "beta": "β", "latent_dim": "latent dimension"}.get(
        name, name if "/" in name else name.replace("_", " ")
    )


def model_label(model: str) -> str:
    """The model's name as it is written in figures."""
    return MODEL_LABELS.get(model, model)
