"""What figures of many small panels share: their grid, and a row of dots with their mean and interval."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

IN_A_ROW = 3


def grid_shape(num: int, in_a_row: int = IN_A_ROW) -> tuple[int, int]:
    """Rows and columns for so many panels."""
    return -(-num // in_a_row), min(num, in_a_row)


def each_panel(axes: np.ndarray, names: Iterable[Any]) -> Iterator[tuple[Axes, Any]]:
    """Each name with its axes, row by row; axes that are left over are hidden."""
    known = list(names)
    for ax in axes.flat[len(known) :]:
        ax.set_visible(False)
    yield from zip(axes.flat, known, strict=False)


def draw_seeds_in_row(ax: Axes, y: float, rows: pd.DataFrame, colour: str) -> None:
    """Draw a dot for each `value`, and a bar for their `mean` with the interval from `low` to `high`, at height y."""
    ax.plot(rows["value"], np.full(len(rows), y), "o", color=colour, alpha=0.55, markeredgewidth=0)
    first = rows.iloc[0]
    ax.vlines(first["mean"], y - 0.32, y + 0.32, color=colour, linewidth=2)
    if np.isfinite(first["low"]):
        ax.hlines(y, first["low"], first["high"], color=colour, linewidth=1.2)
