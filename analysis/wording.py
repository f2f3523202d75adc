"""Numbers as sentences and tables in Markdown give them: no more digits than are known."""

import math
from collections.abc import Iterable, Sequence


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
