"""Is a sparse code collapsed: few informative latents, always on, whose gates say nothing of the image?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_trials, each_series, legend_beside, scale_x, set_apart
from analysis.drawing.panels import each_panel, grid_shape
from analysis.drawing.style import QUIET
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import SERIES_COLUMNS, assign_series, finished_with, mean_over_seeds
from analysis.wording import ALPHA, EACH_TRIAL

NEEDS = ("code/num_informative",)
PANELS = {
    "code/num_informative": "informative latents\n(mean KL above .05 nat)",
    "code/always_on_fraction": "share of these that are always on\n(mean P(z ≠ 0) above .95)",
    "code/gate_information": "information in the gates\n(nats, summed over latents)",
    "code/num_nonzero": "entries that are not zero,\nper image",
}


def compute(tables: Tables) -> pd.DataFrame:
    """Each panel's metric by series and latent_dim, over seeds and trial by trial.

    A row with a trial_id is that trial's own `mean`. A row without is the mean over seeds with its 95% interval.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    frames = []
    for panel, (column, title) in enumerate(PANELS.items()):
        if column not in rows or rows[column].isna().all():
            continue
        means = mean_over_seeds(rows, column, by=["latent_dim"])
        if not rows["individual"].any():
            singles = rows.dropna(subset=[column]).rename(columns={column: "mean"}).assign(n=1)
            means = pd.concat([means, singles[[*SERIES_COLUMNS, "latent_dim", "trial_id", "mean", "n"]]])
        frames.append(means.assign(panel=panel, title=title, metric=column))
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: two to a row."""
    return grid_shape(frame["panel"].nunique(), in_a_row=2)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    how = EACH_TRIAL if frame["individual"].any() else "Dots: seeds. Lines: their means."
    return (
        f"{how} A code is sparse without collapse if many latents are informative, few of them always on, and the "
        "gates tell much of the image. Dotted: what latents at the prior would have, "
        f"{ALPHA} times the latent dimension. Without gates a model has none of the last three."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a panel per metric, a line of means and dots of seeds per series. axes: as `shape` has them."""
    for ax, (_, panel) in each_panel(axes, frame.groupby("panel")):
        is_mean = panel["individual"] | panel["trial_id"].isna()
        shifts = set_apart(frame)
        for rows, look in each_series(panel[is_mean]):
            shift = shifts[rows["series"].cat.codes.iloc[0]]
            if rows["individual"].any():
                draw_trials(ax, "latent_dim", "mean", rows, look)
                continue
            singles = panel[~is_mean & (panel["series"] == rows["series"].iloc[0])]
            ax.scatter(
                singles["latent_dim"] + shift, singles["mean"], s=11, color=look["color"], alpha=0.5, linewidths=0
            )
            means = rows.sort_values("latent_dim")
            ax.plot(means["latent_dim"] + shift, means["mean"], **look)
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
    elif metric == "code/num_nonzero":
        ax.set_yscale("log")
        for alpha in panel["alpha"].unique():
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
