"""How does the test ELBO change with the number of latent dimensions?"""

import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.labels import name_lines
from analysis.drawing.lines import (
    add_floor_axis,
    draw_series,
    each_series,
    fit_to_data,
    leave_out_the_far,
    scale_x,
    set_apart,
)
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.entropy_floor import find_floor
from analysis.tables.objectives import goal_label
from analysis.tables.series import assign_series, finished_with, mean_over_seeds

NEEDS = ("test/elbo",)


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the test ELBO (nats per image), by series and latent_dim.

    floor: the entropy of the pixels (nats per image), NaN if it is not known.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    return mean_over_seeds(rows, "test/elbo", by=["latent_dim"]).assign(floor=find_floor(rows))


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one line with its band per series, or one point per trial, and their names."""
    draw_curves(frame, ax)
    name_lines(ax)


def draw_curves(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw the lines or points."""
    for shift, (rows, look) in zip(set_apart(frame), each_series(frame), strict=True):
        shifted = rows if rows["individual"].any() else rows.assign(latent_dim=rows["latent_dim"] + shift)
        draw_series(ax, shifted, look)
    if frame["individual"].any():
        leave_out_the_far(ax, "y", frame["mean"])
    else:
        fit_to_data(ax, frame)
    scale_x(ax, frame["latent_dim"])
    ax.set_xlabel("latent dimensions")
    ax.set_ylabel(goal_label("test/elbo", is_maximised=True))
    add_floor_axis(ax, frame["floor"].max())


FIGURE = Figure(
    title="Test ELBO by number of latent dimensions",
    compute=compute,
    plot=on_one_axes(plot),
    needs=NEEDS,
)
