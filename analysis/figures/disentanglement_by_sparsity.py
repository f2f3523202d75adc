"""Do sparser codes score higher in disentanglement?"""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from analysis.drawing.figure import Figure
from analysis.drawing.lines import PLAIN_NUMBER, Look
from analysis.drawing.panels import each_panel, grid_shape
from analysis.drawing.style import MARKERS, QUIET, series_colour
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.disentanglement import SCORES, scale_score
from analysis.tables.named_configurations import name_configurations
from analysis.tables.series import NothingToDrawError, finished_with

SPARSITY = "code/nonzero_fraction"
SHOWN = ("factor_vae", "mig", "dci_disentanglement", "info_modularity", "info_compactness", "info_explicitness")
WIDE_RANGE = 5.0


def compute(tables: Tables) -> pd.DataFrame:
    """Of each score a row per trial: the share of its latents that are not zero, and the score from 0 to 1.

    0 is the score of noise with as many latents, 1 that of the factors themselves.
    """
    needs = ["disentanglement/num_active", SPARSITY]
    trials = name_configurations(longest_of_each(finished_with(tables.trials, needs)))
    if trials[SPARSITY].nunique() < 2:
        raise NothingToDrawError("all codes are equally sparse")
    columns = ["configuration", "model", "alpha", "latent_dim", "seed", "trial_id", SPARSITY]
    frames = []
    for score in SHOWN:
        scaled = scale_score(trials, score)
        if scaled is not None:
            rows = trials[columns].assign(score=score, value=scaled).dropna(subset=["value"])
            frames.append(rows.rename(columns={SPARSITY: "nonzero_fraction"}))
    if not frames:
        raise NothingToDrawError("no finished trial has a disentanglement score")
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one per score, three in a row."""
    return grid_shape(frame["score"].nunique())


def note(frame: pd.DataFrame) -> str:  # noqa: ARG001
    """How to read the figure."""
    return (
        "Dots are trials. Each score goes from 0, that of noise with as many latents, to 1, that of the factors "
        "themselves; where both are nearly the same, as they can be of one latent, there is no dot. To the left codes "
        "are sparser; a model without a spike is at 1."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a dot for each trial, a panel for each score."""
    scores = list(dict.fromkeys(frame["score"]))
    fractions = frame["nonzero_fraction"]
    is_log = fractions.min() > 0 and fractions.max() > WIDE_RANGE * fractions.min()
    looks = _list_looks(frame)
    for i, (ax, score) in enumerate(each_panel(axes, scores)):
        for name, rows in frame[frame["score"] == score].groupby("configuration", observed=True):
            ax.plot(rows["nonzero_fraction"], rows["value"], linestyle="", alpha=0.7, **looks[str(name)])
        for end in (0.0, 1.0):
            ax.axhline(end, color=QUIET, linestyle=":", linewidth=1, zorder=1)
        if is_log:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(PLAIN_NUMBER)
        ax.set_title(SCORES[str(score)])
        if i >= len(scores) - axes.shape[1]:
            ax.set_xlabel("share of latents that are not zero")
    for ax in axes[:, 0]:
        ax.set_ylabel("score, from noise (0)\nto perfect codes (1)")
    handles = {name: Line2D([], [], linestyle="", **look) for name, look in looks.items()}
    axes[0, -1].legend(handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _list_looks(frame: pd.DataFrame) -> dict[str, Look]:
    """Colour and marker by configuration: the colour is the model's, markers tell its configurations apart."""
    firsts = frame.sort_values("configuration", kind="stable").drop_duplicates("configuration")
    number = firsts.groupby(["model", "alpha"], dropna=False).cumcount()
    return {
        str(row["configuration"]): {
            "color": series_colour(str(row["model"]), float(row["alpha"])),
            "marker": MARKERS[k % len(MARKERS)],
        }
        for row, k in zip(firsts.to_dict("records"), number, strict=True)
    }


FIGURE = Figure(
    title="Disentanglement by the sparsity of codes",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.1, 2.9),
    note=note,
    needs=("disentanglement/num_active", SPARSITY),
)
