"""Is a sparse code collapsed: few informative latents, always on, whose gates say nothing of the image?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.caption import means_note, own_priors_note
from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_line, draw_trials, each_series, legend_beside, scale_x, set_apart
from analysis.drawing.panels import each_panel, grid_shape
from analysis.drawing.style import QUIET
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import assign_series, finished_with, mean_over_seeds
from analysis.wording import ALPHA, EACH_TRIAL, OWN_PRIORS

NEEDS = ("code/num_informative",)
PANELS = {
    "code/num_informative": "informative latents\n(mean KL above .05 nat)",
    "code/always_on_fraction": "share of these that are always on\n(mean P(z ≠ 0) above .95)",
    "code/gate_information": "information in the gates\n(nats, summed over latents)",
    "code/num_nonzero": "entries that are not zero,\nper image",
}
LOGARITHMIC = ("code/num_nonzero",)


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of each panel's metric, by series and latent_dim."""
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    frames = []
    for panel, (column, title) in enumerate(PANELS.items()):
        if column not in rows or rows[column].isna().all():
            continue
        means = mean_over_seeds(rows, column, by=["latent_dim"])
        frames.append(means.assign(panel=panel, title=title, metric=column))
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: two to a row."""
    return grid_shape(frame["panel"].nunique(), in_a_row=2)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    how = EACH_TRIAL if frame["individual"].any() else means_note(frame)
    return (
        f"{how} A code is sparse without collapse if many latents are informative, few of them always on, and the "
        "gates tell much of the image. Dotted: what latents at the prior would have, "
        f"{ALPHA} times the latent dimension.{own_priors_note(frame)} Without gates a model has none of the last three."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a panel per metric, a line of means with its band per series. axes: as `shape` has them."""
    for ax, (_, panel) in each_panel(axes, frame.groupby("panel")):
        is_log = panel["metric"].iloc[0] in LOGARITHMIC  # an interval near zero would stretch it
        floor = panel["mean"].min() / 1.5 if is_log else None
        shifts = set_apart(frame)
        for rows, look in each_series(panel.assign(low=panel["low"].clip(lower=floor))):
            shift = shifts[rows["series"].cat.codes.iloc[0]]
            if rows["individual"].any():
                draw_trials(ax, "latent_dim", "mean", rows, look)
            else:
                draw_line(ax, "latent_dim", rows.assign(latent_dim=rows["latent_dim"] + shift), look)
        scale_x(ax, frame["latent_dim"])
        ax.set_title(panel["title"].iloc[0], fontsize=10)
        _scale_y(ax, panel)
    for ax in axes[-1]:
        ax.set_xlabel("latent dimensions")
    handles, labels = axes.flat[0].get_legend_handles_labels()  # the panel that every series has
    legend_beside(axes[0, -1], dict(zip(labels, handles, strict=True)))


def _scale_y(ax: Axes, panel: pd.DataFrame) -> None:
    metric = panel["metric"].iloc[0]
    if metric == "code/always_on_fraction":
        ax.set_ylim(-0.05, 1.05)
    elif metric in LOGARITHMIC:
        ax.set_yscale("log")
        for alpha in panel.loc[~panel["model"].isin(OWN_PRIORS), "alpha"].unique():
            dims = np.unique(panel["latent_dim"])
            ax.plot(dims, alpha * dims, color=QUIET, linestyle=":", linewidth=1, zorder=1.5)
    else:
        ax.set_ylim(bottom=0)


FIGURE = Figure(
    title="Sparse or collapsed? Latents and gates by number of latent dimensions",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(4.2, 3.0),
    shares="",
    note=note,
    needs=NEEDS,
)
