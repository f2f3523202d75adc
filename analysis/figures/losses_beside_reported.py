"""How far are losses from the report's own, epoch by epoch? In percent of its published curves."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.drawing.figure import Figure
from analysis.figures import convergence
from analysis.tables import Tables
from analysis.tables.reported_numbers import DATASETS, OTHER_SETTINGS, are_as_reported, load_training_curves
from analysis.tables.series import NothingToDrawError, finished_with

LOSSES = {"test/loss": "test_loss", "train/loss": "train_loss"}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the loss less the report's (percent of it), by series, latent_dim and epoch.

    The columns are those of `convergence.compute`, without `reported`.
    """
    trials, history = finished_with(tables.trials, []), tables.history
    is_alike = are_as_reported(trials, (*DATASETS, *OTHER_SETTINGS), but_for=("epochs",))
    is_alike &= trials["num_validation"] == 0
    if not is_alike.all() or trials["dataset"].nunique() > 1:
        raise NothingToDrawError("trials are trained otherwise than the report's")
    key = ["model", "alpha", "latent_dim", "epoch"]
    curves = load_training_curves(trials["dataset"].iloc[0])
    losses = history.merge(trials[["trial_id", *key[:-1]]], on="trial_id").merge(curves, on=key)
    if losses.empty:
        raise NothingToDrawError("the report has published no curve of such a model")
    for ours, theirs in LOSSES.items():
        losses[ours] = 100 * (losses[ours] / losses[theirs] - 1)
    beside = replace(tables, history=losses[["trial_id", "epoch", *LOSSES]])
    # Of Figure 7's curve, which is the zero here, `convergence` would draw the loss itself.
    return convergence.compute(beside).assign(plateau=np.nan).drop(columns="reported", errors="ignore")


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw the differences as `convergence.plot` draws losses, with a line at zero, the report's own curve."""
    convergence.plot(frame, axes)
    for ax in axes.flat:
        ax.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    for of_row in axes:
        next(ax for ax in of_row if ax.get_visible()).set_ylabel("loss less the report's\n(percent of it)")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    text = "Zero is the report's own curve, of one run."
    if (frame["n"] > 1).any():
        text += " Mean and 95% interval (Student t) over seeds."
    if (all_dims := frame["all_dims"].max()) > (dims := frame["latent_dim"].nunique()):
        text += f" {dims} of {all_dims} latent dimensions are shown."
    return text


FIGURE = Figure(
    title="Loss by epoch, less that of the report's own curves",
    compute=compute,
    plot=plot,
    shape=convergence.shape,
    panel_size=(4.0, 2.9),
    note=note,
)
