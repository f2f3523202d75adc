"""How does the bound that the report plots change with the number of latent dimensions? (its Figure 1)

Its samples are relaxed, at sharpness 200, so that every latent leaks a little; the true bound is in elbo_by_latent_dim.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.caption import means_note
from analysis.drawing.figure import Figure
from analysis.drawing.labels import name_lines
from analysis.drawing.lines import DIAMONDS, draw_line, each_series, scale_x
from analysis.drawing.style import QUIET
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


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: the curves and, where the report has them too, a strip of what ours differ by."""
    return (2 if frame["reported"].notna().any() else 1), 1


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    text = "The report's Figure 1. Relaxed samples, here at sharpness 200, make it no bound: see the true test ELBO."
    text += f" {means_note(frame)}"
    if not frame["reported"].notna().any():
        return text
    return (
        f"{text} Hollow black diamonds: the report's own values, one seed. Below: ours less its own, with our interval."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one line with its band per series, the report's values as hollow diamonds, and the differences below."""
    ax = axes[0, 0]
    elbo_by_latent_dim.draw_curves(frame, ax)
    ax.set_ylabel(f"relaxed test ELBO\n({NATS}, higher is better)")
    reported = frame.dropna(subset=["reported"])
    if not reported.empty:
        ax.plot(reported["latent_dim"], reported["reported"], label="the report's own (1 seed)", **DIAMONDS)
        _draw_differences(axes[1, 0], reported)
        scale_x(axes[1, 0], frame["latent_dim"])  # of all, as above
        axes[1, 0].set_xlim(ax.get_xlim())
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    name_lines(ax)


def _draw_differences(ax: Axes, reported: pd.DataFrame) -> None:
    """Draw ours less the report's, by series, with the intervals of ours: its own is of one seed."""
    for rows, look in each_series(reported):
        gains = rows[["mean", "low", "high"]].sub(rows["reported"], axis=0).assign(n=rows["n"])
        small = look | {"linewidth": 1.2, "markersize": 4, "label": None}
        draw_line(ax, "latent_dim", gains.assign(latent_dim=rows["latent_dim"]), small)
    ax.axhline(0, color=QUIET, linewidth=0.8)
    ax.set_xlabel("latent dimensions")
    ax.set_ylabel(f"ours less\nthe report's\n({NATS})", fontsize=9)


FIGURE = Figure(
    title="The report's bound by number of latent dimensions (its Figure 1)",
    compute=compute,
    plot=plot,
    shape=shape,
    heights=(1.0, 0.35),
    shares="",
    note=note,
    needs=NEEDS,
)
