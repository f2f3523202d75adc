"""How much of the difference between models is a bound that is looser for one of them?"""

import numpy as np
import pandas as pd

from analysis.drawing.caption import means_note
from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_series, each_series, legend_beside, scale_x
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import assign_series, finished_with, mean_over_seeds
from analysis.wording import BASELINE, EACH_TRIAL, NATS, decimal, model_label

BOUND = "test/iw_bound_5000"
NEEDS = (BOUND, "test/inference_gap", "test/iw_bound_gap")
PANELS = {"ELBO": "test/inference_gap", "IW bound, 50 samples": "test/iw_bound_gap", "IW bound, 5,000 samples": None}
"""The bounds, and by how much each is below the tightest."""
MOST_NAMED = 4  # series that a headline has room for


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of three bounds of the same images, nats per image, by series and latent_dim."""
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    frames = []
    for panel, gap in PANELS.items():
        values = rows.assign(value=rows[BOUND] - (0.0 if gap is None else rows[gap]))
        frames.append(mean_over_seeds(values, "value", by=["latent_dim"]).assign(panel=panel))
    return pd.concat(frames, ignore_index=True)


def shape(_: pd.DataFrame) -> tuple[int, int]:
    """A panel per bound, side by side."""
    return 1, len(PANELS)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    how = EACH_TRIAL if frame["individual"].any() else means_note(frame)
    return (
        f"{how} All three bounds are of the same test images, about 500 evenly spaced ones. With 5,000 samples the "
        "bound is nearest to log p(x): what a lead loses from left to right was the other model's looser bound."
    )


def find(frame: pd.DataFrame) -> str:
    """The lead of the baseline over each other series at the largest latent dimension, by the first and last bound."""
    is_baseline = frame["model"] == BASELINE
    common = set(frame.loc[is_baseline, "latent_dim"]) & set(frame.loc[~is_baseline, "latent_dim"])
    if frame["individual"].any() or not common:
        return ""
    shown = frame["latent_dim"] == max(common)
    base, others = (frame[shown & rows].set_index("series") for rows in (is_baseline, ~is_baseline))
    first, *_, last = PANELS
    if base.index.nunique() > 1 or others.index.nunique() > MOST_NAMED:
        return ""
    begun, ended = (
        base.loc[base["panel"] == panel, "mean"].iloc[0] - others.loc[others["panel"] == panel, "mean"]
        for panel in (first, last)
    )
    told = [f"{decimal(begun[series])} → {decimal(ended[series])} over {series}" for series in begun.index]
    return (
        f"the lead of the {model_label(BASELINE)} in nats by ELBO → 5,000 samples, at latent dimension "
        f"{max(common):g}: {'; '.join(told)}"
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a panel per bound, one line with its band per series. axes: (1, 3), which share the y axis."""
    for ax, (panel, rows) in zip(axes[0], frame.groupby("panel", sort=False), strict=True):
        for series, look in each_series(rows):
            draw_series(ax, series, look)
        scale_x(ax, rows["latent_dim"])
        ax.set_title(panel, fontsize=10)
        ax.set_xlabel("latent dimensions")
    axes[0, 0].set_ylabel(f"bound on log p(x) ({NATS},\nhigher is better)")
    legend_beside(axes[0, -1])


FIGURE = Figure(
    title="Bounds with more samples, and how much of a lead is the inference gap",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.4, 3.6),
    finding=find,
    note=note,
    needs=NEEDS,
)
