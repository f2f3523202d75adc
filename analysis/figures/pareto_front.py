"""What is the best value of one objective at each value of another?"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure
from analysis.drawing.lines import leave_out_the_far, legend_beside
from analysis.drawing.searched import draw_searched
from analysis.figures.rate_distortion import draw_equal_elbo_lines
from analysis.metrics import metric_label
from analysis.tables import Tables
from analysis.tables.objectives import goal_label, goals
from analysis.tables.pareto import find_front, finished_values
from analysis.tables.series import NothingToDrawError, varying_settings
from analysis.wording import plural, setting_label, short_value

TELLING = ("beta", "alpha", "latent_dim", "learning_rate")  # settings, the most telling first
MAX_LABELS = 7
FRONT = "#222222"
RATE_AND_DISTORTION = [{f"{split}/rate", f"{split}/distortion"} for split in ("train", "val", "test")]
CHARACTER = (0.0125, 0.055)  # its width and height in a label, with some room around it, as shares of the axes

Box = tuple[float, float, float, float]  # left, bottom, right and top, as shares of the axes


def compute(tables: Tables) -> pd.DataFrame:
    """One row per finished trial and pair of objectives (`panel`), the first (y) against each other (x).

    y, x: what the trial reached. is_best: it is on the front, so no other trial is as good in both and better in one.
    label: the settings that tell the trials of the front apart.
    """
    trials = tables.trials
    if trials.empty:
        raise NothingToDrawError("no trial has finished")
    (first, first_up), *others = goals(trials)
    if not others:
        raise NothingToDrawError("the study has one objective, so nothing is traded off")
    reached = finished_values(tables)
    rows = trials.reset_index(drop=True).loc[reached.index]
    varying = varying_settings(rows)
    telling = [name for name in TELLING if name in varying][:2]
    points = rows[["trial_id", "status", "model"]].assign(
        label=[_label(row) for row in rows[telling].to_dict("records")], is_allowed=reached["is_allowed"]
    )
    points = points.assign(y=reached[first], y_name=first, y_up=first_up)
    panels = []
    for panel, (name, up) in enumerate(others):
        is_best = find_front(reached[[first, name]].where(reached["is_allowed"]), [first_up, up])
        panels.append(points.assign(panel=panel, x=reached[name], x_name=name, x_up=up, is_best=is_best))
    return pd.concat(panels, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one per pair of objectives."""
    return 1, frame["panel"].nunique()


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a point per trial, and the front as a step line around them, with the settings of a few of its trials.

    axes: rows and columns as `shape` has them.
    """
    for ax, (_, panel) in zip(axes[0], frame.groupby("panel"), strict=True):
        first = panel.iloc[0]
        draw_searched(ax, "x", "y", panel)
        front = panel[panel["is_best"]].sort_values(["x", "y"])
        step = "steps-pre" if first["x_up"] else "steps-post"
        look = {"color": FRONT, "linewidth": 1.2, "marker": "o", "markersize": 6, "markerfacecolor": "none"}
        ax.plot(front["x"], front["y"], drawstyle=step, zorder=3, label="front", **look)
        ax.margins(0.25, 0.18)
        leave_out_the_far(ax, "x", panel["x"])
        leave_out_the_far(ax, "y", panel["y"])
        if {first["x_name"], first["y_name"]} in RATE_AND_DISTORTION:
            draw_equal_elbo_lines(ax)
        _label_front(ax, front)
        ax.set_xlabel(goal_label(first["x_name"], is_maximised=bool(first["x_up"])))
    axes[0, 0].set_ylabel(goal_label(frame["y_name"].iloc[0], is_maximised=bool(frame["y_up"].iloc[0])))
    legend_beside(axes[0, -1])


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    fronts = [
        f"{panel['is_best'].sum():,} of {plural(len(panel), 'trial')} in {metric_label(panel['y_name'].iloc[0])} and "
        f"{metric_label(panel['x_name'].iloc[0])}"
        for _, panel in frame.groupby("panel")
    ]
    keeping = "" if frame["is_allowed"].all() else " that keeps to the constraints"
    return f"On the front, where no other trial{keeping} is as good in both and better in one: {'; '.join(fronts)}."


def _label(settings: dict[Any, Any]) -> str:
    given = {name: value for name, value in settings.items() if pd.notna(value)}
    return ", ".join(f"{setting_label(name)} {short_value(value, 2)}" for name, value in given.items())


def _label_front(ax: Axes, front: pd.DataFrame) -> None:
    """Name a few trials beside the front, on its better side, where no other point lies; the ends first."""
    limits = ax.get_xlim(), ax.get_ylim()
    right, up = bool(front["x_up"].iloc[0]), bool(front["y_up"].iloc[0])
    taken: list[Box] = []
    for rank in _ends_first(len(front)):
        row = front.iloc[rank]
        x, y = ((row[name] - low) / (high - low) for name, (low, high) in zip("xy", limits, strict=True))
        width = CHARACTER[0] * len(row["label"])
        to_right = right if (x if right else x - width) >= 0 and (x + width if right else x) <= 1 else not right
        left, bottom = x if to_right else x - width, y if up else y - CHARACTER[1]
        box = (left, bottom, left + width, bottom + CHARACTER[1])
        if row["label"] and min(box) >= 0 and max(box) <= 1 and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            ax.annotate(
                row["label"],
                (row["x"], row["y"]),
                (6 if to_right else -6, 4 if up else -4),
                textcoords="offset points",
                ha="left" if to_right else "right",
                va="bottom" if up else "top",
                fontsize=7.5,
                color=FRONT,
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
            )
        if len(taken) == MAX_LABELS:
            break


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ends_first(num: int) -> list[int]:
    """The ranks 0 to num - 1, so that the first few are spread over all: both ends, the middle, quarters ..."""
    order = [0, num - 1]
    for parts in (2, 4, 8, 16):
        order += [round(part * (num - 1) / parts) for part in range(1, parts, 2)]
    return list(dict.fromkeys(order))


FIGURE = Figure(
    title="What the study's objectives trade off",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(5.5, 4.6),
    shares="y",
    note=note,
    all_lengths=True,
)
