"""Does a probe on the means of the slab measure the code, or the encoder?

The controls are means that the decoder never sees: those of latents that are never on, those of an encoder that was not
trained, and a random projection of the encoder's hidden layer.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist

from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_line, legend_beside, scale_accuracy, scale_x
from analysis.tables import Tables
from analysis.tables.accuracies import accuracy_note, mean_accuracy, without_dead
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import NothingToDrawError, assign_series, finished_with

PROBES = {
    "report_coded_{}_5k": "as the report codes it, 5,000 labels",
    "linear_{}_all": "logistic regression, all labels",
}
# In colours that no model has.
INPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mu": (
        "μ of all latents",
        {"color": "#999999", "marker": "o", "linewidth": 4, "markersize": 9},
    ),  # under the others
    "mu_on": ("μ of the latents that are ever on", {"color": "#000000", "marker": "s"}),
    "mu_off": ("μ of those never on", {"color": "#56B4E9", "marker": "^"}),
    "hidden_projection": ("hidden layer, projected at random", {"color": "#009E73", "marker": "D", "linestyle": "--"}),
    "untrained_mu": ("μ by the untrained encoder", {"color": "#CC79A7", "marker": "v", "linestyle": ":"}),
}
NEEDS = ("probe/linear_untrained_mu_all_accuracy",)  # the control that every model has
MAX_SERIES = 4


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds and images of the test accuracy (0 to 1), by probe, input and latent_dim.

    Runs in which a logit died are left out, as in accuracy_by_latent_dim; num_dead counts them, of num_runs.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    if rows["individual"].any() or rows["series"].nunique() > MAX_SERIES:
        raise NothingToDrawError(f"there are more than {MAX_SERIES} configurations to draw side by side")
    frames, num_dead, num_runs = [], 0, 0
    for probe, title in PROBES.items():
        for name in INPUTS:
            column = f"probe/{probe.format(name)}_accuracy"
            if column in rows and rows[column].notna().any():
                measured = rows.dropna(subset=[column])
                shown = without_dead(measured, column)
                if f"probe/{probe.format(name)}_dead_logits" in rows:  # only the report's own can die
                    num_dead, num_runs = num_dead + len(measured) - len(shown), num_runs + len(measured)
                means = mean_accuracy(shown, column)
                frames.append(means.assign(probe=title, input=name))
    return pd.concat(frames, ignore_index=True).assign(num_dead=num_dead, num_runs=num_runs)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row of panels per probe, a column per series."""
    return frame["probe"].nunique(), frame["series"].nunique()


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and what it leaves out."""
    num_dead, num_runs = frame[["num_dead", "num_runs"]].iloc[0]
    dead = (
        f" Left out: {num_dead} of {num_runs:,} runs of the report's classifier, in which a logit died."
        if num_dead
        else ""
    )
    return (
        f"{accuracy_note(frame)} A latent is on for an image if P(z ≠ 0) is a half at least, "
        "and ever on if it is for some training image; the decoder reads μ only of latents that are. Where μ of those "
        "never on, or a control, is read as well as all of μ, the accuracy is the encoder's, not the code's."
        f"{dead}"
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a line with its band per input. axes: rows and columns as `shape` has them."""
    entries: dict[str, Artist] = {}
    for of_row, (probe, of_probe) in zip(axes, frame.groupby("probe", sort=False), strict=True):
        for ax, (series, panel) in zip(of_row, of_probe.groupby("series", observed=True), strict=True):
            for name, (label, look) in INPUTS.items():
                means = panel[panel["input"] == name]
                if len(means):
                    places = frame.loc[frame["series"] == series, "latent_dim"]
                    draw_line(ax, "latent_dim", means, look | {"label": label}, places=places)
            scale_x(ax, frame["latent_dim"])
            ax.set_title(f"{series},\n{probe}", fontsize=10)
            handles, labels = ax.get_legend_handles_labels()
            entries |= dict(zip(labels, handles, strict=True))
    scale_accuracy(axes)
    for ax in axes[-1]:
        ax.set_xlabel("latent dimensions")
    legend_beside(axes[0, -1], {label: entries[label] for label, _ in INPUTS.values() if label in entries})


FIGURE = Figure(
    title="What a probe on the means of the slab measures: the code or the encoder",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.8, 3.1),
    note=note,
    needs=NEEDS,
)
