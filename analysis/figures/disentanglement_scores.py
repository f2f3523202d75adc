"""How disentangled are the codes of each model, beside noise and beside perfect codes?"""

import numpy as np
import pandas as pd

from analysis.drawing.caption import dots_note
from analysis.drawing.figure import Figure
from analysis.drawing.panels import draw_seeds_in_row, each_panel, grid_shape
from analysis.drawing.style import QUIET, series_colour
from analysis.metrics import metric_of
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.disentanglement import SCORES, column_of
from analysis.tables.intervals import mean_interval
from analysis.tables.named_configurations import name_configurations
from analysis.tables.series import NothingToDrawError, finished_with

MARGIN = 0.03


def compute(tables: Tables) -> pd.DataFrame:
    """Of each score a row per trial, with mean and 95% interval over the seeds of its configuration.

    noise, ceiling: means over the same trials of the score of noise with as many latents, and of the factors.
    """
    trials = name_configurations(longest_of_each(finished_with(tables.trials, ["disentanglement/num_active"])))
    frames = []
    for score in SCORES:
        columns = {reference: column_of(score, reference) for reference in ("", "floor", "ceiling")}
        if not set(columns.values()) <= set(trials) or trials[columns[""]].isna().all():
            continue
        rows = trials.dropna(subset=[columns[""]]).rename(columns={columns[""]: "value"})
        by = rows.groupby("configuration", observed=True)
        ends = {name: by[columns[end]].transform("mean") for name, end in (("noise", "floor"), ("ceiling", "ceiling"))}
        rows = rows[["configuration", "model", "alpha", "seed", "value"]].assign(score=score, **ends)
        means = mean_interval(rows, "value", by=["configuration"], limits=metric_of(columns[""]).limits)
        frames.append(rows.merge(means, on="configuration"))
    if not frames:
        raise NothingToDrawError("no finished trial has a disentanglement score")
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one per score, three in a row."""
    return grid_shape(frame["score"].nunique())


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    return (
        f"{dots_note(frame)} Grey, between dotted ends: from the score of noise with as many latents to that of the "
        "factors themselves, by the same measure. Latents that hardly vary (standard deviation below 0.05) are left "
        "out first."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a row for each configuration, a panel for each score."""
    names = list(dict.fromkeys(frame.sort_values("configuration", kind="stable")["configuration"]))
    for ax, score in each_panel(axes, dict.fromkeys(frame["score"])):
        for name, rows in frame[frame["score"] == score].groupby("configuration", observed=True):
            y, first = names.index(name), rows.iloc[0]
            colour = series_colour(str(first["model"]), float(first["alpha"]))
            ends = first["noise"], first["ceiling"]
            ax.barh(y, ends[1] - ends[0], left=ends[0], height=0.8, color="#f2f2f2", zorder=0.5)
            ax.vlines(ends, y - 0.4, y + 0.4, color=QUIET, linestyle=":", linewidth=1)
            draw_seeds_in_row(ax, y, rows, colour)
        ax.set_xlabel(SCORES[str(score)])
        ax.set_xlim(-MARGIN, 1 + MARGIN)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(len(names) - 0.4, -0.6)
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(names)), names)


FIGURE = Figure(
    title="Disentanglement, beside noise and perfect codes",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.1, 3.6),
    shares="y",
    note=note,
    needs=("disentanglement/num_active",),
)
