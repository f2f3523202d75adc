"""Which combinations of settings did the best trials of a search have?"""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.lines import MAX_VECTOR_LINES, Look, near_values
from analysis.drawing.style import QUIET
from analysis.figures.parallel_axes import ABSENT, ParallelAxis, make_objective_axis, make_setting_axis
from analysis.tables import Tables
from analysis.tables.objectives import BEST_SHARE, COUNTED, goal_label, goals, searched_values
from analysis.tables.searched_settings import list_searched_settings
from analysis.wording import setting_label

MAX_BEST = 20
COLOURS = {True: "viridis_r", False: "viridis"}  # by whether the goal is maximised: the best trials are dark
TITLE_CHARACTERS = 95  # that fit side by side


def compute(tables: Tables) -> pd.DataFrame:
    """A row per trial and axis: the settings in which trials differ, then the objectives.

    Columns: axis, is_objective, is_maximised, trial_id, at, level (see `list_searched_settings`), goal (the first
    objective's value), is_best (among the best tenth by it of the finished trials that keep to the constraints of the
    search: 1 to 20 of them, if there are any).
    """
    trials, history = tables.trials, tables.history
    values = searched_values(trials, history)
    settings = list_searched_settings(trials[trials["trial_id"].isin(values["trial_id"])])
    frames = [settings.rename(columns={"setting": "axis"}).assign(is_objective=False, is_maximised=False)]
    for name, is_maximised in goals(trials):
        at = pd.DataFrame({"trial_id": values["trial_id"], "axis": name, "at": values[name], "level": None})
        frames.append(at.assign(is_objective=True, is_maximised=is_maximised))
    goal_of_each = values[["trial_id"]].assign(
        goal=values[goals(trials)[0][0]], is_best=_are_best(values, *goals(trials)[0])
    )
    return pd.concat([frame.astype({"level": object}) for frame in frames]).merge(goal_of_each, on="trial_id")


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw an axis per setting and objective, and across them a line per trial, coloured by the first objective.

    Objectives have their better end on top. The best trials are drawn last and in full, the others faint.
    """
    by_axis = {str(name): rows for name, rows in frame.groupby("axis", sort=False)}
    axes = {name: _make_axis(rows) for name, rows in by_axis.items()}
    heights = pd.DataFrame({name: axis.heights for name, axis in axes.items()})  # (trials, axes)
    trials = frame.drop_duplicates("trial_id").set_index("trial_id").loc[heights.index]
    goal = frame[frame["is_objective"]].iloc[0]
    _draw_trials(ax, heights, trials, is_maximised=bool(goal["is_maximised"]))
    width = max(9, TITLE_CHARACTERS // len(axes))
    for place, (name, axis) in enumerate(axes.items()):
        _draw_axis(ax, place, axis)
        lines = _title(name, by_axis[name]).splitlines()
        title = "\n".join(textwrap.fill(line, width, break_long_words=False) for line in lines)
        ax.text(place, 1.05, title, ha="center", va="bottom", fontsize=9.5)
    ax.set(xlim=(-0.35, len(axes) - 0.45), ylim=(ABSENT - 0.06, 1.25))
    ax.set_axis_off()


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    num_best = frame[frame["is_best"]]["trial_id"].nunique()
    absent = " Where a model has no such setting, its lines pass below the axis." if frame["at"].isna().any() else ""
    return f"Each line is a trial, the darker the better; the best {num_best:,} in full, the others faint.{absent}"


def _are_best(values: pd.DataFrame, name: str, is_maximised: bool) -> pd.Series:
    allowed = values[values["is_allowed"]]
    is_finished = allowed["status"] == "finished"
    ranked = allowed[is_finished if is_finished.any() else ~is_finished].sort_values(
        name, ascending=not is_maximised, kind="stable"
    )
    return values["trial_id"].isin(ranked["trial_id"].head(int(np.clip(BEST_SHARE * len(ranked), 1, MAX_BEST))))


def _make_axis(rows: pd.DataFrame) -> ParallelAxis:
    if rows["is_objective"].any():
        return make_objective_axis(rows, is_maximised=bool(rows["is_maximised"].iloc[0]))
    return make_setting_axis(rows)


def _title(name: str, rows: pd.DataFrame) -> str:
    if rows["is_objective"].any():
        return goal_label(name, is_maximised=bool(rows["is_maximised"].iloc[0]), lines=2)
    return setting_label(name)


def _draw_trials(ax: Axes, heights: pd.DataFrame, trials: pd.DataFrame, *, is_maximised: bool) -> None:
    places = np.broadcast_to(np.arange(heights.shape[1]), heights.shape)
    lines = np.stack([places, heights.to_numpy(float)], axis=-1)  # (trials, axes, 2)
    goal, is_best = trials["goal"].to_numpy(float), trials["is_best"].to_numpy(bool)
    colours = _make_colours(trials["goal"], is_maximised=is_maximised)
    worst_first = np.argsort(goal if is_maximised else -goal, kind="stable")
    others: Look = {"linewidths": 0.8, "alpha": float(np.clip(20 / len(trials), 0.08, 0.5)), "zorder": 1}
    best: Look = {"linewidths": 1.8, "zorder": 2}
    for group, look in ((~is_best, others), (is_best, best)):
        order = worst_first[group[worst_first]]
        look |= {"colors": colours.to_rgba(goal[order]), "rasterized": len(order) > MAX_VECTOR_LINES}
        ax.add_collection(LineCollection(list(lines[order]), **look))


def _make_colours(goal: pd.Series, *, is_maximised: bool) -> ScalarMappable:
    """Colours from the best trial on; those of the worst tenth are equally light."""
    near = near_values(goal)
    limits = (near.quantile(0.1), near.max()) if is_maximised else (near.min(), near.quantile(0.9))
    return ScalarMappable(Normalize(*limits), COLOURS[is_maximised])


def _draw_axis(ax: Axes, place: int, axis: ParallelAxis) -> None:
    ax.vlines(place, 0, 1, color=QUIET, linewidth=1, zorder=3)
    heights = list(axis.ticks.values())
    ax.plot([place] * len(heights), heights, "_", color=QUIET, markersize=6, zorder=3)
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5}
    style: dict[str, Any] = {"fontsize": 8.5, "va": "center", "bbox": box, "zorder": 4}
    for text, height in axis.ticks.items():
        ax.annotate(text, (place, height), (5, 0), textcoords="offset points", **style)


FIGURE = Figure(
    title="The settings of the search's trials, and what they reached",
    compute=compute,
    plot=on_one_axes(plot),
    panel_size=(8.0, 4.6),
    shows=COUNTED,
    note=note,
    all_lengths=True,
)
