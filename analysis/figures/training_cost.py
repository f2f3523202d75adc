"""What does it cost to train, in seconds and in memory? (the report's section 4.3)"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.caption import means_note
from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_series, each_series, legend_beside, scale_x
from analysis.drawing.style import QUIET
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.reported_numbers import SECONDS_PER_EPOCH, are_as_reported
from analysis.tables.series import NothingToDrawError, assign_series, finished_with, mean_over_seeds

NEEDS = ("train_seconds", "epochs_trained")
PANELS = {"seconds": "seconds per epoch", "peak_memory_mb": "memory of the process at its most (MB)"}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the seconds per epoch and of the memory (MB), by series and latent_dim.

    Only for studies that measure nothing else, since these ask what training costs.
    """
    rows = finished_with(tables.trials, NEEDS)
    if rows.filter(regex="^(test|code|probe|edit)/").notna().any(axis=None):
        raise NothingToDrawError("the study asks something else than what training costs")
    rows = assign_series(longest_of_each(rows), apart_from=["latent_dim"])
    rows = rows.assign(seconds=rows["train_seconds"] / rows["epochs_trained"])
    means = [mean_over_seeds(rows, name, by=["latent_dim"]).assign(panel=name) for name in PANELS if name in rows]
    return pd.concat(means, ignore_index=True).assign(
        as_reported=bool(are_as_reported(rows, but_for=("epochs",)).all())
    )


def shape(_: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels."""
    return 1, len(PANELS)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    text = f"The report's section 4.3; training steps alone are timed. {means_note(frame)}"
    return f"{text} Dotted: what the report took." if frame["as_reported"].any() else text


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw time and memory by latent dimension, a line per series. axes: (1, 2)."""
    for ax, (name, title) in zip(axes[0], PANELS.items(), strict=True):
        panel = frame[frame["panel"] == name]
        for rows, look in each_series(panel):
            draw_series(ax, rows, look)
        scale_x(ax, frame["latent_dim"])
        ax.set_xlabel("latent dimensions")
        ax.set_ylabel(title)
        ax.tick_params(labelleft=True)
    if frame["as_reported"].any():
        _draw_reported(axes[0, 0])
    for ax in axes[0]:
        ax.set_ylim(bottom=0, top=1.05 * ax.get_ylim()[1])
    legend_beside(axes[0, -1])


def _draw_reported(ax: Axes) -> None:
    top = max(float(np.max(line.get_ydata())) for line in ax.lines)
    for device, seconds in SECONDS_PER_EPOCH.items():
        ax.axhline(seconds, color=QUIET, linestyle=":", linewidth=1)
        ax.annotate(
            f"the report, on {device}", (1, seconds), xycoords=("axes fraction", "data"), ha="right",
            va="bottom" if seconds > top else "top",  # away from our lines
            fontsize=8, color=QUIET,
        )  # fmt: skip


FIGURE = Figure(
    title="What training costs (the report's section 4.3)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(4.4, 3.8),
    shares="",
    note=note,
    needs=NEEDS,
)
