"""At which values of each setting do the good trials of a search lie?"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import PLAIN_NUMBER, far_note, leave_out_the_far, legend_beside, scale_x
from analysis.drawing.searched import BEST_LABEL, draw_searched, mark_best
from analysis.metrics import metric_label
from analysis.tables import Tables
from analysis.tables.objectives import COUNTED, count_best, goal_label, goals, searched_values
from analysis.tables.searched_settings import has_few_levels, list_searched_settings, prefers_log
from analysis.wording import setting_label, short_value

MAX_COLUMNS = 4
SHADE = "#f0f0f0"
MAX_LEVEL_LENGTH = 16
GOLDEN = 0.618  # its multiples are spread evenly between whole numbers, however many there are


def compute(tables: Tables) -> pd.DataFrame:
    """The value of each objective by each setting in which trials differ, one row per trial, setting and objective.

    Columns: row and column of the panel, objective, is_maximised, setting, at, level (see `list_searched_settings`),
    number, trial_id, model, status, epochs_trained, value; is_best and is_good: whether it is the best trial by the
    objective, of those that finished if any did, or among the best tenth of all, at least five.
    """
    trials, history = tables.trials, tables.history
    values = searched_values(trials, history)
    shown = trials[trials["trial_id"].isin(values["trial_id"])]
    settings = list_searched_settings(shown)
    names = list(settings["setting"].unique())
    num_rows = -(-len(names) // MAX_COLUMNS)
    num_columns = -(-len(names) // num_rows)
    place = settings["setting"].map({name: i for i, name in enumerate(names)})
    frames = []
    for i, (objective, is_maximised) in enumerate(goals(trials)):
        reached = values[["number", "trial_id", "status", "epochs_trained", "is_allowed"]].assign(
            objective=objective, is_maximised=is_maximised, value=values[objective]
        )
        losses = (-1 if is_maximised else 1) * reached["value"].where(reached["is_allowed"])
        is_done = reached["status"] == "finished"
        best = (losses.where(is_done) if (is_done & losses.notna()).any() else losses).rank(method="first")
        reached = reached.assign(is_best=best == 1, is_good=losses.rank(method="first") <= count_best(len(losses)))
        panels = settings.assign(row=i * num_rows + place // num_columns, column=place % num_columns)
        frames.append(panels.merge(reached, on="trial_id"))
    return pd.concat(frames, ignore_index=True).merge(trials[["trial_id", "model"]], on="trial_id")


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one panel per setting and objective, an objective below the other."""
    return int(frame["row"].max()) + 1, int(frame["column"].max()) + 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one panel per setting and objective: a point per trial in its model's colour.

    axes: of shape `shape(frame)`; those of a row share y.
    """
    for unused in axes.flat:
        unused.set_visible(False)
    for _, panel in frame.groupby(["row", "column"]):
        ax: Axes = axes[int(panel["row"].iloc[0]), int(panel["column"].iloc[0])]
        ax.set_visible(True)
        _plot_setting(ax, panel.dropna(subset=["at"]))
    for of_row, (_, rows) in zip(axes, frame.groupby("row"), strict=True):
        first = rows.iloc[0]
        values = rows[rows["column"] == rows["column"].min()]
        leave_out_the_far(of_row[0], "y", values["value"], of_interest=_take_better(values), is_said=True)
        label = goal_label(str(first["objective"]), is_maximised=bool(first["is_maximised"]), lines=2)
        of_row[0].set_ylabel(label)
    _legend(axes)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    num_good = int(frame.drop_duplicates(["objective", "trial_id"]).groupby("objective")["is_good"].sum().iloc[0])
    apart = " Text settings: points are spread sideways." if frame["level"].notna().any() else ""
    better = " The axis shows what finished and the better half." if (frame["status"] == "stopped").any() else ""
    beyond = ""
    for objective, rows in frame.groupby("objective", sort=False):
        values = rows.drop_duplicates("trial_id")
        if far := far_note("y", values["value"], of_interest=_take_better(values)):
            beyond += f" Not shown of the {metric_label(str(objective))}: {far}."
    return (
        "Each point is a trial at the last value it reached, at its value of one setting; others vary too. Star: the "
        f"best, with its value. Shaded: from the least to the greatest value of the best {num_good}, where each is a "
        f"number.{better}{beyond}{apart}"
    )


def find(frame: pd.DataFrame) -> str:
    """The settings of the best trial, where there is one objective."""
    best = frame[frame["is_best"]].dropna(subset=["at"])
    if frame["objective"].nunique() > 1 or best.empty:
        return ""
    named = (f"{setting_label(row['setting'])} {_write(row)}" for row in best.to_dict("records"))
    return f"best with {', '.join(named)}"


def _write(row: dict[Hashable, Any]) -> str:
    """The value of a setting in a trial."""
    return short_value(float(row["at"])) if pd.isna(row["level"]) else str(row["level"])


def _take_better(values: pd.DataFrame) -> pd.Series:
    """What the axis has to show: the better half, and what has finished: what was stopped early is no rival."""
    middle = values["value"].median()
    is_better = values["value"] >= middle if values["is_maximised"].iloc[0] else values["value"] <= middle
    return values.loc[is_better | (values["status"] == "finished"), "value"]


def _plot_setting(ax: Axes, panel: pd.DataFrame) -> None:
    name = str(panel["setting"].iloc[0])
    panel = panel.assign(place=panel["at"])
    levels = panel.dropna(subset=["level"]).drop_duplicates("level").sort_values("at")
    if levels.empty:
        good = panel.loc[panel["is_good"], "at"]
        if len(good) > 1:
            ax.axvspan(good.min(), good.max(), color=SHADE, zorder=0)
        draw_searched(ax, "place", "value", panel)
        _scale_numbers(ax, panel["at"])
    else:
        panel["place"] += 0.5 * ((panel["number"] * GOLDEN) % 1 - 0.5)
        draw_searched(ax, "place", "value", panel)
        texts = [str(level)[:MAX_LEVEL_LENGTH] for level in levels["level"]]
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if sum(map(len, texts)) > 2 * MAX_LEVEL_LENGTH else {}
        ax.set_xticks(levels["at"], texts, **turned)
        ax.set_xlim(-0.5, levels["at"].max() + 0.5)
    for row in panel[panel["is_best"]].to_dict("records"):
        mark_best(ax, row["place"], row["value"], str(row["model"]))
        ax.set_title(f"best: {_write(row)}", fontsize=10)
    ax.tick_params(axis="x", labelsize=9)
    ax.set_xlabel(setting_label(name))


def _scale_numbers(ax: Axes, values: pd.Series) -> None:
    if has_few_levels(values):
        scale_x(ax, values)
    elif prefers_log(values):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if values.max() > 1000 * values.min() else (1, 3)))
        ax.xaxis.set_major_formatter(PLAIN_NUMBER)
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(PLAIN_NUMBER)


def _legend(axes: np.ndarray) -> None:
    """One legend for all panels, since a panel lacks the models without its setting."""
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    best = {BEST_LABEL: handles.pop(BEST_LABEL)} if BEST_LABEL in handles else {}
    legend_beside(axes[0, -1], dict(sorted(handles.items())) | best)


FIGURE = Figure(
    title="Where the good trials of the search lie",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.0, 3.0),
    shares="y",
    shows=COUNTED,
    note=note,
    finding=find,
    all_lengths=True,
)
