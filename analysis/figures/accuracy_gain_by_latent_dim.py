"""By how many points do classifiers do better on a model's codes than on the baseline's, by latent dimensions?

Differences are paired: of one seed and one latent dimension. What each model reaches is in accuracy_by_latent_dim,
which shares its classifiers.
"""

import numpy as np
import pandas as pd

from analysis.drawing.caption import means_note
from analysis.drawing.figure import Figure
from analysis.drawing.lines import fit_to_data
from analysis.drawing.style import QUIET
from analysis.figures.accuracy_by_latent_dim import (
    AS_CODED,
    count_dead,
    dead_note,
    draw_classifiers,
    each_classifier,
)
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import NothingToDrawError, assign_series, finished_with, mean_over_seeds
from analysis.wording import BASELINE, POINTS, model_label

NEEDS = (AS_CODED,)
PAIR = ["latent_dim", "seed"]


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the accuracy less the baseline's (points), by panel, series and latent_dim.

    Pairs in which a logit died are left out of the report's own classifier; num_dead counts these runs, of num_runs.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    baseline, others = rows[rows["model"] == BASELINE], rows[rows["model"] != BASELINE]
    if baseline.empty or others.empty or rows["individual"].any() or baseline["series"].nunique() > 1:
        raise NothingToDrawError(f"there is no one {model_label(BASELINE)} to compare others with, seed by seed")
    frames = []
    for panel, column, title, counted in each_classifier(rows):
        other, own = (counted[counted["model"] != BASELINE], counted[counted["model"] == BASELINE])
        paired = other.merge(own[[*PAIR, column]], on=PAIR, suffixes=("", "_of_baseline"))
        gains = paired.assign(points=100 * (paired[column] - paired[f"{column}_of_baseline"])).dropna(subset=["points"])
        if not gains.empty:
            means = mean_over_seeds(gains, "points", by=["latent_dim"])
            frames.append(means.assign(panel=panel, title=title))
    if not frames:
        raise NothingToDrawError(f"no trial has the seed and the latent dimension of a {model_label(BASELINE)}")
    return pd.concat(frames, ignore_index=True).assign(**count_dead(rows))


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and what it leaves out."""
    return (
        f"Accuracy less that of the {model_label(BASELINE)} of the same seed and latent dimension. {means_note(frame)} "
        "Above the line the other model does better. All panels have one scale."
        f"{dead_note(frame)}"
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one panel per classifier, one line with its band per series. axes: rows and columns as `shape` has them."""
    for ax, panel in draw_classifiers(frame, axes):
        ax.axhline(0, color=QUIET, linewidth=1)
        fit_to_data(ax, frame, shown=panel)  # of all panels, so that one scale is for all
    for ax in axes[:, 0]:
        ax.set_ylabel(f"accuracy less the {model_label(BASELINE)}'s\n({POINTS})")


FIGURE = Figure(
    title=f"Accuracy on codes less that on the {model_label(BASELINE)}'s, by number of latent dimensions",
    compute=compute,
    plot=plot,
    panel_size=(3.6, 2.8),
    note=note,
    needs=NEEDS,
)
