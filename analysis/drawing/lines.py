"""What figures of numbers are drawn with: lines with their bands, single trials, scales, legends."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.drawing.style import FILLS, LINE_STYLES, MARKERS, QUIET, model_colour, series_colour, series_marker
from analysis.tables.searched_settings import is_geometric
from analysis.wording import plural, span, with_minus

Look = dict[str, Any]  # keyword arguments of a line: colour, marker, label ...

BAND_OPACITY = 0.18
MAX_VECTOR_POINTS = 300  # with more, points become pixels, so that a PDF stays small
MAX_VECTOR_LINES = 60
MAX_TICKS = 10
FAR_IN_QUARTILE_RANGES = 8.0
STAR: Look = {"marker": "*", "markersize": 13, "markeredgecolor": "#222222", "linestyle": ""}  # of a plateau
DIAMONDS: Look = {
    "marker": "D",
    "markersize": 5,
    "markerfacecolor": "none",
    "color": "black",
    "linestyle": "",
    "zorder": 3,
}
"""Of what the report published."""

PLAIN_NUMBER = FuncFormatter(lambda value, _: f"{value:g}")
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g}")


def each_series(frame: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Look]]:
    """The rows and the look of each series, in order."""
    for label, rows in frame.groupby("series", observed=True):
        first = rows.iloc[0]
        model, alpha, variant = str(first["model"]), float(first["alpha"]), int(first["variant"])
        look: Look = {"label": f"{label} ({count_label(rows)})"}
        if first["individual"]:
            colour = series_colour(model, alpha) if rows["alpha"].nunique() == 1 else model_colour(model)
            yield rows, look | {"color": colour, "marker": MARKERS[variant % len(MARKERS)]}
        else:
            look |= {"color": series_colour(model, alpha), "marker": series_marker(alpha)}
            yield rows, look | {"fillstyle": FILLS[variant % 4], "linestyle": LINE_STYLES[variant % 4]}


def count_label(rows: pd.DataFrame) -> str:
    """The number of seeds that the means of a series are taken over, or of the trials that it shows."""
    if rows["individual"].any():
        return plural(rows["trial_id"].nunique(), "trial")
    return span(int(rows["n"].min()), int(rows["n"].max()), "seed")


def draw_line(ax: Axes, x: str, rows: pd.DataFrame, look: Look, *, places: pd.Series | None = None) -> None:
    """Draw means joined by a line, in a band of their 95% intervals; each seed a dot.

    A point whose interval has none beside it gets a bar. A point of one seed gets a ring, among others of more:
    without a band it would look the surest. places: where the line has points, or is broken; None for where
    `rows` has them.
    """
    if places is not None:
        rows = rows.set_index(x).reindex(np.unique(places)).reset_index(names=x)
    rows = rows.sort_values(x)
    at, mean, low, high = (rows[name].to_numpy(float) for name in (x, "mean", "low", "high"))
    ax.plot(at, mean, **look)
    is_known = np.isfinite(low)
    is_alone = is_known & ~(np.append(is_known[1:], False) | np.append(False, is_known[:-1]))
    if len(rows) > 1:
        ax.fill_between(at, low, high, color=look["color"], alpha=BAND_OPACITY, linewidth=0)
    if is_alone.any():
        ax.vlines(at[is_alone], low[is_alone], high[is_alone], color=look["color"], linewidth=1.2)
    is_one = (rows["n"] == 1).to_numpy() & (rows["n"] > 1).any()
    if is_one.any():
        ax.plot(at[is_one], mean[is_one], "o", markersize=9, markerfacecolor="none", color=look["color"])
    draw_seeds(ax, at, rows, look["color"])


def draw_seeds(ax: Axes, at: np.ndarray, rows: pd.DataFrame, colour: Any, *, horizontal: bool = False) -> None:
    """Draw a dot for each value of the column `by_seed`, if the rows have it: a mean hides that seeds part ways.

    horizontal: the values are x and `at` is y.
    """
    if "by_seed" not in rows:
        return
    values = [[float(one) for one in text.split()] for text in rows["by_seed"].fillna("")]
    place = np.repeat(at, [len(own) for own in values])
    spread = np.array([one for own in values for one in own])
    x, y = (spread, place) if horizontal else (place, spread)
    ax.scatter(x, y, s=7, color=colour, alpha=0.55, linewidths=0, zorder=2.5)


def draw_reported(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw what the report published (column `reported`), dashed in the colour of the series that it stands beside."""
    for rows, look in each_series(frame.dropna(subset=["reported"])):
        line, label = rows.sort_values("latent_dim"), f"{rows['series'].iloc[0]}, the report's"
        ax.plot(line["latent_dim"], line["reported"], color=look["color"], linestyle=(0, (3, 2)), linewidth=1,
                label=label, marker=look["marker"], markersize=3)  # fmt: skip


def draw_trials(ax: Axes, x: str, y: str, rows: pd.DataFrame, look: Look) -> None:
    """Draw one point per trial and no band, since different configurations have no common mean."""
    ax.scatter(*(rows[x], rows[y]), s=26, alpha=0.6, linewidths=0, rasterized=len(rows) > MAX_VECTOR_POINTS, **look)


def draw_series(ax: Axes, rows: pd.DataFrame, look: Look, *, places: pd.Series | None = None) -> None:
    """Draw a line with its band by latent_dim, or one point per trial where the series shows single trials."""
    if rows["individual"].any():
        draw_trials(ax, "latent_dim", "mean", rows, look)
    else:
        draw_line(ax, "latent_dim", rows, look, places=places)


def set_apart(frame: pd.DataFrame) -> np.ndarray:
    """How far each series is moved along x: where all are at one latent_dim they would lie on each other."""
    return np.linspace(-0.3, 0.3, frame["series"].nunique()) * (frame["latent_dim"].nunique() == 1)


def fit_to_data(
    ax: Axes, frame: pd.DataFrame, *, room: float = 0.2, axis: str = "y", shown: pd.DataFrame | None = None
) -> None:
    """Take the range of an axis from means and seeds: an interval of three seeds reaches several times as far.

    room: how far beyond the data, in parts of their range, intervals are still shown; the rest is cut, and how many
    are cut is said. shown: the rows on these axes, where the frame has those of other panels, too.
    """
    values = frame["mean"].to_numpy(float).tolist()
    if "by_seed" in frame:
        values += [float(one) for text in frame["by_seed"].fillna("") for one in text.split()]
    ends = frame[["low", "high"]].to_numpy(float).ravel().tolist()
    known = [value for value in values if np.isfinite(value)]
    if len(known) < 2 or max(known) == min(known):
        return
    low, high = min(known), max(known)
    span = high - low
    bottom = min([low, *(end for end in ends if end >= low - room * span)]) - 0.04 * span
    top = max([high, *(end for end in ends if end <= high + room * span)]) + 0.04 * span
    bottom, top = max(bottom, low - room * span), min(top, high + room * span)
    ax.set(**{f"{axis}lim": (bottom, top)})
    drawn = frame if shown is None else shown
    is_below, is_above = drawn["low"] < bottom, drawn["high"] > top
    if num_cut := int((is_below | is_above).sum()):
        note = f"{plural(num_cut, 'interval')} {'runs' if num_cut == 1 else 'run'} beyond the axis"
        _say_beyond(ax, axis, note, is_above=is_above.sum() >= is_below.sum())


def scale_x(ax: Axes, values: pd.Series) -> None:
    """Take a log axis where the values are spaced more evenly on it; set a tick at each value if they are few."""
    levels = np.unique(values.to_numpy(float))
    if is_geometric(levels):
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(PLAIN_NUMBER)
    if len(levels) <= 8:
        ax.set_xticks(levels, [f"{level:g}" for level in levels])
    ax.xaxis.set_minor_locator(NullLocator())
    if len(levels) == 1:
        ax.set_xlim(levels[0] - 1, levels[0] + 1)


def scale_accuracy(axes: np.ndarray) -> None:
    """Write test accuracies (0 to 1) in percent on the y axes of all panels, in the unit of their differences, points.

    It is called after all are drawn, since the panels of a row share their axis.
    """
    for ax in axes.flat:
        ax.set_ylim(top=min(1.0, ax.get_ylim()[1]))  # an interval of few seeds can reach beyond
        ax.yaxis.set_major_formatter(PERCENT)
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy (%)")


def scale_lengths(ax: Axes, epochs: pd.Series) -> None:
    """Take a logarithmic x axis with a tick at each length of training that has room for its number."""
    lengths = np.unique(epochs)
    gap = np.log(lengths[-1] / lengths[0]) / MAX_TICKS
    ticks: list[float] = []
    for length in lengths[::-1]:
        if not ticks or np.log(ticks[0] / length) >= gap:
            ticks.insert(0, length)
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def leave_out_the_far(
    ax: Axes, axis: str, values: pd.Series, *, of_interest: pd.Series | None = None, is_said: bool = False
) -> None:
    """Scale the axis ("x" or "y") to the bulk of the values, and say how many lie beyond it.

    One trial of a search that nearly diverged would otherwise press all others into a line. of_interest: those of the
    values that the axis has to show; None for all. is_said: the caption has `far_note`, so that the axes need not.
    """
    if not (note := far_note(axis, values, of_interest=of_interest)):
        return
    near = near_values(values if of_interest is None else of_interest)
    ax.set(**{f"{axis}lim": _limits_of(near)})
    if not is_said:
        _say_beyond(ax, axis, note, is_above=_find_farthest(values, near) > near.median())


def far_note(axis: str, values: pd.Series, *, of_interest: pd.Series | None = None) -> str:
    """How many values lie beyond the axis that `leave_out_the_far` takes, and how far; empty if none do."""
    near = near_values(values if of_interest is None else of_interest)
    num_far = int((values.notna() & ~values.between(*_limits_of(near))).sum())
    if num_far == 0:
        return ""
    farthest = with_minus(f"{_find_farthest(values, near):.3g}")
    return f"{plural(num_far, 'value')} off the {axis} axis, as far as {farthest}"


def _limits_of(near: pd.Series) -> tuple[float, float]:
    margin = 0.08 * (near.max() - near.min())
    return near.min() - margin, near.max() + margin


def _find_farthest(values: pd.Series, near: pd.Series) -> float:
    return float(values.iloc[int(np.nanargmax(np.abs(values - near.median())))])


def _say_beyond(ax: Axes, axis: str, note: str, *, is_above: bool) -> None:
    """Write what lies beyond an axis into a corner: for y that at the end at which it lies."""
    height = 0.94 if axis == "x" else 0.99 if is_above else 0.01
    align = "bottom" if height < 0.5 else "top"
    box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
    style: dict[str, Any] = {"fontsize": 8, "color": QUIET, "ha": "right", "va": align, "bbox": box}
    ax.text(0.99, height, note, transform=ax.transAxes, **style)


def near_values(values: pd.Series) -> pd.Series:
    """The bulk of the values: those within some quartile ranges of the middle half, without NaN."""
    low, high = values.quantile([0.25, 0.75])
    reach = FAR_IN_QUARTILE_RANGES * (high - low)
    return values[values.between(low - reach, high + reach)] if reach > 0 else values.dropna()


def add_floor_axis(ax: Axes, floor: float) -> None:
    """Add an axis on the right that reads a bound as nats above the entropy of the pixels; none where they have none.

    floor: nats per image, NaN if it is not known.
    """
    if floor > 0:

        def turn(bound: Any) -> Any:  # which is its own inverse
            return -bound - floor

        right = ax.secondary_yaxis("right", functions=(turn, turn))
        right.set_ylabel("nats above the pixels' own entropy")


def legend_beside(ax: Axes, entries: Mapping[str, Artist] | None = None) -> None:
    """Put a legend to the right of the axes, where it covers no data: of `entries`, or of what the axes show."""
    shown = ax.get_legend_handles_labels()
    handles, labels = shown if entries is None else (list(entries.values()), list(entries))
    at = 1.15 if ax.child_axes else 1.0  # beyond an axis on the right
    ax.legend(handles, labels, loc="upper left", bbox_to_anchor=(at, 1.0), borderaxespad=0.2)
