"""What figures of searches are drawn with: a point for each trial, by its model and epochs; a star for the best."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.lines import MAX_VECTOR_POINTS, STAR, Look
from analysis.drawing.style import model_colour, tint
from analysis.wording import model_label, span

MAX_LEVELS = 4  # of epochs that stopped trials have trained for, each with a tint and an entry in the legend
LIGHTEST = 0.95
BEST_LABEL = "the best trial"


def draw_searched(ax: Axes, x: str, y: str, rows: pd.DataFrame) -> None:
    """Draw one point per trial of a search in its model's colour: filled if finished, hollow if stopped early.

    Of those that were stopped, a lighter one has trained for fewer epochs, where the rows have `epochs_trained`. Those
    that break a constraint of the search, where the rows say so in `is_allowed`, are crosses.
    """
    for model, of_model in rows.groupby("model"):
        colour, name = model_colour(str(model)), model_label(str(model))
        breaks = ~of_model["is_allowed"] if "is_allowed" in rows else pd.Series(False, index=of_model.index)
        stopped = (of_model["status"] == "stopped") & ~breaks
        finished_look: Look = {"color": colour, "linewidths": 0, "alpha": 0.8, "zorder": 2}
        broken_look: Look = {"color": colour, "marker": "x", "linewidths": 0.9, "alpha": 0.6}
        groups = [(of_model[~stopped & ~breaks], finished_look, "finished")]
        for points, lightness, words in _by_epochs(of_model[stopped]):
            look: Look = {"facecolors": "none", "edgecolors": tint(str(model), lightness), "linewidths": 1.1}
            groups.append((points, look | {"zorder": 1.5}, words))
        groups.append((of_model[breaks], broken_look, "breaks a constraint"))
        for points, look, words in groups:
            if not points.empty:
                look |= {"label": f"{name}, {words}", "rasterized": len(points) > MAX_VECTOR_POINTS}
                ax.scatter(points[x], points[y], s=26 if len(rows) <= MAX_VECTOR_POINTS else 14, **look)


def _by_epochs(stopped: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, float, str]]:
    """Stopped trials by how long they trained, the longest first: the rows, how light they are, and words."""
    if "epochs_trained" not in stopped or stopped["epochs_trained"].nunique() < 2:
        yield stopped, 0.5, "stopped early"
        return
    epochs = stopped["epochs_trained"].astype(int)
    ends = sorted(epochs.unique())
    if len(ends) > MAX_LEVELS:
        ends = [int(end) for end in np.unique(np.quantile(epochs, np.linspace(0, 1, MAX_LEVELS + 1)[1:]).astype(int))]
    level = np.searchsorted(ends, epochs)
    for place in range(len(ends) - 1, -1, -1):
        own = epochs[level == place]
        if not own.empty:
            yield (
                stopped.loc[own.index],
                LIGHTEST - (LIGHTEST - 0.5) * place / (len(ends) - 1),
                f"stopped after {span(own.min(), own.max(), 'epoch')}",
            )


def mark_best(ax: Axes, at: float, value: float, model: str) -> None:
    """Draw a star at the best trial of a search."""
    ax.plot([at], [value], color=model_colour(model), zorder=3, label=BEST_LABEL, **STAR)
