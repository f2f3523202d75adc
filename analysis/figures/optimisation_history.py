"""What did each trial of a search reach, and when did the search find its best?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import leave_out_the_far, legend_beside
from analysis.drawing.searched import draw_searched
from analysis.metrics import metric_label
from analysis.tables import Tables
from analysis.tables.objectives import COUNTED, goal_label, goals, running_best, searched_values
from analysis.wording import count_decimals, decimal

BEST_COLOUR = "#333333"


def compute(tables: Tables) -> pd.DataFrame:
    """The value of each objective by trial number, and the best until then: of the finished trials, if any are.

    Columns: objective, is_maximised, number, trial_id, model, status, epochs_trained, is_allowed, value,
    best, and num_trials, that of all trials of the search.
    """
    trials, history = tables.trials, tables.history
    values = searched_values(trials, history).merge(trials[["trial_id", "model"]], on="trial_id")
    frames = []
    for name, is_maximised in goals(trials):
        frame = values[["number", "trial_id", "model", "status", "epochs_trained", "is_allowed"]].assign(
            value=values[name]
        )
        frame["best"] = running_best(frame, "value", is_maximised=is_maximised)
        frames.append(frame.assign(objective=name, is_maximised=is_maximised, num_trials=len(trials)))
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: a row per objective."""
    return frame["objective"].nunique(), 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one panel per objective: a point per trial in its model's colour, and a step line of the best so far.

    axes: rows and columns as `shape` has them.
    """
    for ax, (name, rows) in zip(axes[:, 0], frame.groupby("objective", sort=False), strict=True):
        _plot_objective(ax, str(name), rows)
    legend_beside(axes[0, 0])
    axes[-1, 0].set_xlabel("trial, in the order of the search")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    some_finished = bool((frame["status"] == "finished").any())
    line = f"The line is the best so far of the {'finished' if some_finished else 'stopped'} trials."
    crosses = "" if frame["is_allowed"].all() else " Crosses break a constraint of the search, and are never the best."
    return f"Each point is a trial at the last value it reached. {line}{crosses}"


def find(frame: pd.DataFrame) -> str:
    """The best value and when it was found, where there is one objective."""
    known = frame.dropna(subset=["best"])
    if frame["objective"].nunique() > 1 or known.empty:
        return ""
    best = known["best"].iloc[-1]
    number = int(known.loc[known["best"] == best, "number"].iloc[0])
    name = str(known["objective"].iloc[0])
    words = f"{metric_label(name)} {decimal(best, count_decimals(best, most=3) if abs(best) < 1 else 1)}"
    return f"the best, {words}, is trial {number} of {frame['num_trials'].iloc[0]}"


def _plot_objective(ax: Axes, name: str, rows: pd.DataFrame) -> None:
    draw_searched(ax, "number", "value", rows)
    known = rows.dropna(subset=["best"])
    last = int(rows["number"].max())
    if not known.empty:
        x, best = [*known["number"], last], [*known["best"], known["best"].iloc[-1]]
        ax.plot(x, best, drawstyle="steps-post", color=BEST_COLOUR, linewidth=1.4, label="best so far")
    leave_out_the_far(ax, "y", rows["value"])
    ax.set_ylabel(goal_label(name, is_maximised=bool(rows["is_maximised"].iloc[0]), lines=2))
    margin = max(0.5, 0.02 * last)
    ax.set_xlim(1 - margin, last + margin)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


FIGURE = Figure(
    title="What each trial of the search reached",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(6.5, 4.0),
    shows=COUNTED,
    note=note,
    finding=find,
    all_lengths=True,
)
