"""The study's answer: the configurations that did best on validation images, trained again on all training images.

Two things are kept apart. The validation images choose: configurations are ranked by what they reached there, on
average over seeds. The test images only measure the ranked ones, each trained anew over seeds; a better test value
never moves a configuration up.
"""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_seeds, fit_to_data, leave_out_the_far, legend_beside
from analysis.drawing.style import QUIET, series_colour
from analysis.metrics import metric_label
from analysis.tables import Tables
from analysis.tables.confirmed import compare_best, compute_confirmed
from analysis.tables.intervals import Difference, paired_difference
from analysis.tables.objectives import goal_label
from analysis.wording import NATS, ONE_SEED, plural, with_interval

LABEL_WIDTH = 38  # characters
MANY = 6  # configurations; beyond, their labels are smaller
SHIFTS = {"validation": -0.14, "test": 0.14}  # in heights of a row
BELOW = 0.2  # of a row, where the dots of seeds lie
ZERO = {"mean": 0.0, "low": 0.0, "high": 0.0, "by_seed": ""}  # the winner, which the axis shows in any case
LOOKS: dict[str, dict[str, Any]] = {
    "validation": {"marker": "s", "markerfacecolor": "white", "linestyle": ""},
    "test": {"marker": "o", "linestyle": ""},
}


def compute(tables: Tables) -> pd.DataFrame:
    """The configurations that were confirmed, the winner first: see `compute_confirmed`.

    gain, gain_low, gain_high, gain_n: mean, 95% interval and number of pairs of the test ELBO less the winner's, paired
    by seed; by_seed: each of these differences. NaN for the winner, and for what has no rank.
    """
    frame = compute_confirmed(tables.trials, tables.history)
    winner = frame.iloc[0]["test_by_seed"]
    rows = []
    for place, (values, rank) in enumerate(zip(frame["test_by_seed"], frame["rank"], strict=True)):
        is_other = place > 0 and rank > 0
        found = paired_difference(values, winner) if is_other else Difference(np.nan, np.nan, np.nan, 0)
        seeds = sorted(values.keys() & winner.keys()) if is_other else []
        by_seed = " ".join(f"{values[seed] - winner[seed]:.6g}" for seed in seeds)
        rows.append((found.mean, found.low, found.high, found.num_seeds, by_seed))
    names = ["gain", "gain_low", "gain_high", "gain_n", "by_seed"]
    return frame.join(pd.DataFrame(rows, columns=names, index=frame.index))


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: below what each reached, the differences from the winner, if there are any."""
    return 1 + bool((frame["gain_n"] > 0).any()), 1


def find(frame: pd.DataFrame) -> str:
    """The winner, and whether the runner-up differs."""
    two = compare_best(frame)
    if two is None or two.interval is None:
        return f"{frame['label'].iloc[0]} wins"
    return f"{frame['label'].iloc[0]} wins; {two.verdict.replace('they', 'the first two')}"


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw what each configuration reached and, below it, how far from the winner. axes: as `shape` has them."""
    _plot_reached(frame, axes[0, 0])
    if len(axes) > 1:
        _plot_differences(frame[frame["gain_n"] > 0], axes[1, 0])


def _plot_differences(rows: pd.DataFrame, ax: Axes) -> None:
    """Draw a row per configuration: mean difference from the winner with its interval, and single seeds below."""
    ax.axvline(0, color=QUIET, linewidth=1)
    for y, row in enumerate(rows.to_dict("records")):
        colour = series_colour(row["model"], float(row["alpha"]))
        ax.plot(row["gain"], y, "o", color=colour)
        ax.hlines(y, row["gain_low"], row["gain_high"], color=colour, linewidth=1.2)
        draw_seeds(ax, np.array([y + BELOW]), pd.DataFrame([row]), colour, horizontal=True)
    reached = rows.rename(columns={"gain": "mean", "gain_low": "low", "gain_high": "high"})
    fit_to_data(ax, pd.concat([reached, pd.DataFrame([ZERO])]), axis="x", room=2.0)
    ax.set_yticks(range(len(rows)), [f"{rank:.0f}, less the winner" for rank in rows["rank"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(f"test ELBO less the winner's, paired by seed ({NATS})")


def _plot_reached(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw a row per configuration, the winner on top: validation and test mean with intervals, single seeds faint."""
    is_elbo = frame["objective"].iloc[0] == "val/elbo"  # another objective has no place on the axis of the test ELBO
    kinds = ("validation", "test") if is_elbo else ("test",)
    for y, row in enumerate(frame.to_dict("records")):
        colour = series_colour(row["model"], float(row["alpha"]))
        for kind in kinds:
            at = y + SHIFTS[kind]
            values = list(row[f"{kind}_by_seed"].values())
            ax.scatter(values, [at] * len(values), s=14, color=colour, alpha=0.3, linewidths=0)
            mean, low, high = (row[f"{kind}_{name}"] for name in ("mean", "low", "high"))
            bars = np.nan_to_num([[mean - low], [high - mean]])
            ax.errorbar([mean], [at], xerr=bars, color=colour, capsize=2.5, elinewidth=1.2, **LOOKS[kind])
    far = [value for kind in kinds for values in frame[f"{kind}_by_seed"] for value in values.values()]
    leave_out_the_far(ax, "x", pd.Series(far, dtype="float64"))
    labels = [_row_label(row, is_elbo=is_elbo) for row in frame.to_dict("records")]
    width = LABEL_WIDTH if len(frame) <= MANY else 4 * LABEL_WIDTH // 3
    labels = [textwrap.fill(label, width, break_on_hyphens=False, break_long_words=False) for label in labels]
    ax.set_yticks(range(len(frame)), labels)
    ax.get_yticklabels()[0].set_fontweight("bold")
    ax.tick_params(axis="y", labelsize=10 if len(frame) <= MANY else 7)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(len(frame) - 0.5, -0.5 - 0.1 * len(frame))  # above, room to say what is off the axis
    ax.set_xlabel(goal_label("test/elbo", is_maximised=True).replace("test ", "" if is_elbo else "test "))
    entries = {f"{kind} images": Line2D([], [], color=QUIET, **LOOKS[kind]) for kind in kinds}
    entries["single seeds"] = Line2D([], [], color=QUIET, alpha=0.4, marker="o", linestyle="", markersize=4)
    legend_beside(ax, entries)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and whether the two best differ."""
    objective = metric_label(frame["objective"].iloc[0])
    chosen = f"Ranked by the {objective} on images held out, mean over seeds, without the search's own where others are"
    bars = "Bars: 95% interval (Student t) over seeds." if (frame["test_n"] > 1).any() else ONE_SEED
    text = f"{chosen}; then trained on all training images and measured on the test images. {bars}"
    two = compare_best(frame)
    if two is None or two.interval is None:
        return text
    return (
        f"{text} The winner's test ELBO less that of the second, in {NATS}: {with_interval(*two.interval)}, "
        f"paired over {plural(two.num_seeds, 'seed')}: {two.verdict}."
    )


def _row_label(row: dict[Any, Any], *, is_elbo: bool) -> str:
    """The place and the settings, each of which stays on one line."""
    place = "winner" if row["rank"] == 1 else f"{row['rank']:.0f}" if row["rank"] > 0 else "not ranked"
    parts = [f"{place}: {row['label']}"]
    if not is_elbo and row["rank"] > 0:
        parts.append(f"{metric_label(row['objective'])} = {row['validation_mean']:.4g}")
    return ", ".join(parts).replace(" ", "\N{NO-BREAK SPACE}").replace(",\N{NO-BREAK SPACE}", ", ")


FIGURE = Figure(
    title="The best configurations, trained again to confirm them",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(7.0, 4.6),
    heights=(1.0, 0.4),
    finding=find,
    note=note,
    all_phases=True,
    all_lengths=True,
)
