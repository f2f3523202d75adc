"""Lines that are named at their ends, in their own colours, where there is room for it; else in a legend."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from analysis.drawing.lines import legend_beside
from analysis.drawing.style import text_colour

SIZE = 9.5  # points, of a label
MOST_MOVED = 1.0  # heights of a label: one that stands farther from the end of its line seems to name another
OF_FIGURE = 0.78  # the share of a figure's height that its panel takes, before it is laid out


def name_lines(ax: Axes) -> None:
    """Write each line's name beside its right end; the caption says how many seeds there are, unless they differ.

    Where lines end too close to each other, where some have no end, or where an axis stands on the right, a legend is
    drawn instead. Call this last, when the y range is final. What has a name and is no line of two points or more gets
    a legend inside the axes.
    """
    handles, labels = ax.get_legend_handles_labels()
    lines = [line for line in handles if isinstance(line, Line2D) and line.get_linestyle() != "None"]
    others = [(handle, label) for handle, label in zip(handles, labels, strict=True) if handle not in lines]
    ends = [end for line in lines if (end := _end_of(line)) is not None]
    places = _place(ax, ends) if ends and len(ends) == len(lines) and not ax.child_axes else None
    if places is None:
        legend_beside(ax)
        return
    names = _shorten([str(line.get_label()) for line in lines])
    for line, name, end, move in zip(lines, names, ends, places, strict=True):
        ax.annotate(
            name, (1.0, end), (6, move), xycoords=ax.get_yaxis_transform(), textcoords="offset points", va="center",
            fontsize=SIZE, color=text_colour(to_hex(line.get_color())), annotation_clip=False,
        )  # fmt: skip
    if others:
        ax.legend([handle for handle, _ in others], [label for _, label in others], loc="best", fontsize=SIZE)


def _end_of(line: Line2D) -> float | None:
    """The y at which a line of two points or more ends on the right; None of any other."""
    x, y = (np.asarray(part, float) for part in line.get_data())
    known = np.isfinite(x) & np.isfinite(y)
    return float(y[known][np.argmax(x[known])]) if known.sum() > 1 else None


def _place(ax: Axes, ends: Sequence[float]) -> list[float] | None:
    """By how many points each label is moved up so that none covers another; None if that is too far for one."""
    figure, grid = ax.get_figure(root=True), ax.get_subplotspec()
    assert figure is not None
    assert grid is not None
    to_axes = ax.transData + ax.transAxes.inverted()
    points = figure.get_figheight() * 72 * OF_FIGURE * grid.get_position(figure).height
    wanted = [points * float(to_axes.transform((ax.get_xlim()[1], end))[1]) for end in ends]
    order = np.argsort(wanted)
    height = 1.25 * SIZE
    placed = np.array([wanted[i] for i in order])
    for _ in range(len(placed)):  # neighbours that are too close part evenly
        for i in range(1, len(placed)):
            lack = height - (placed[i] - placed[i - 1])
            if lack > 0:
                placed[i] += lack / 2
                placed[i - 1] -= lack / 2
    moves = np.empty(len(placed))
    moves[order] = placed - np.array([wanted[i] for i in order])
    outside = (np.array(wanted) < 0) | (np.array(wanted) > points)
    return None if outside.any() or np.abs(moves).max() > MOST_MOVED * height else moves.tolist()


def _shorten(labels: Sequence[str]) -> list[str]:
    """The names without their numbers of seeds, if these are all alike."""
    parts = [label.rpartition(" (") for label in labels]
    counts = {count for name, _, count in parts if name}
    return [name or count for name, _, count in parts] if len(counts) == 1 else list(labels)
