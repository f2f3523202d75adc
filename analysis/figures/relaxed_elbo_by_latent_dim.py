"""How does the bound that the report plots change with the number of latent dimensions? (its Figure 1)

Its samples are relaxed, at sharpness 200, so that every latent leaks a little; the true bound is in elbo_by_latent_dim.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.caption import MEANS
from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.lines import draw_reported, legend_beside
from analysis.figures import elbo_by_latent_dim
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.entropy_floor import find_floor
from analysis.tables.reported_numbers import are_as_reported, load_curves
from analysis.tables.series import NothingToDrawError, assign_series, finished_with, mean_over_seeds
from analysis.wording import NATS

NEEDS = ("test/elbo_relaxed",)


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the relaxed test ELBO (nats per image), by series and latent_dim.

    `reported`: the report's own value, where all trials are trained as its were. `floor`: see elbo_by_latent_dim.
    """
    trials = tables.trials
    rows = assign_series(longest_of_each(finished_with(trials, NEEDS)), apart_from=["latent_dim"])
    if rows["individual"].any():
        raise NothingToDrawError("trials differ in too much for a curve")
    means = mean_over_seeds(rows, *NEEDS, by=["latent_dim"]).assign(floor=find_floor(rows))
    if not are_as_reported(rows).all() or rows["dataset"].nunique() > 1:
        return means.assign(reported=np.nan)
    curves = load_curves("elbo_relaxed", rows["dataset"].iloc[0]).rename(columns={"value": "reported"})
    return means.merge(curves, on=["model", "alpha", "latent_dim"], how="left")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    text = "The report's Figure 1. Relaxed samples, here at sharpness 200, make it no bound: see the true test ELBO."
    text += f" {MEANS}"
    return f"{text} Dashed, small: the report's own curve, one seed." if frame["reported"].notna().any() else text


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one line with its band per series, the report's own dashed beside it."""
    elbo_by_latent_dim.plot(frame, ax)
    draw_reported(ax, "latent_dim", frame)
    ax.set_ylabel(f"relaxed test ELBO ({NATS}, higher is better)")
    legend_beside(ax)


FIGURE = Figure(
    title="The report's bound by number of latent dimensions (its Figure 1)",
    compute=compute,
    plot=on_one_axes(plot),
    note=note,
    needs=NEEDS,
)
