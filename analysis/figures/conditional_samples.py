"""What do an image's active latents hold? Pictures that keep the largest entries of its code and redraw the rest."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from analysis.drawing.figure import Figure
from analysis.drawing.pictures import draw_pictures, name_columns, name_rows
from analysis.tables import Tables
from analysis.tables.configurations import short_labels
from analysis.tables.exhibits import RULE, Shown, choose_trials, shown_note
from analysis.tables.series import NothingToDrawError

MAX_LATENT_DIMS = 3
MAX_ROWS = 12  # of pictures, over all trials


def compute(tables: Tables) -> pd.DataFrame:
    """A row per picture: its image, what it `shows` (image, decoded or samples), how many entries are active and kept.

    Shows of each model the smallest alpha, at the smallest, the median and the largest latent dimension.
    """
    chosen = choose_trials(tables, num_latent_dims=MAX_LATENT_DIMS)
    rows = [row for shown in chosen for row in _list_rows(shown, MAX_ROWS // len(chosen))]
    if not rows:
        raise NothingToDrawError("every code of the trials shown is all zero")
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row per trial and image."""
    return len(frame.drop_duplicates(["trial_id", "image"])), 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw in each row an image, its code decoded, then the samples.

    axes: rows and columns as `shape` has them.
    """
    named: Hashable = None
    for ax, ((trial_id, _), of_row) in zip(axes[:, 0], frame.groupby(["trial_id", "image"], sort=False), strict=True):
        draw_pictures(ax, np.stack(list(of_row["picture"]))[None])
        name_rows(ax, [f"{of_row['num_kept'].iloc[0]} kept of {of_row['num_active'].iloc[0]}"])
        if trial_id != named:
            named = trial_id
            (title,) = short_labels(of_row.head(1), ["alpha", "latent_dim"])
            ax.set_title(title, fontsize=9.5)
            name_columns(ax, list(of_row["shows"]))


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    return (
        "As Figure 6 of the report: a test image, its code decoded, and samples in which the largest entries of the "
        "code are kept and the other active ones (those not zero) drawn from the slab N(0, 1); named left, how many. "
        f"{RULE} {shown_note(frame)}"
    )


def _list_rows(shown: Shown, num_images: int) -> list[dict[str, object]]:
    stored = shown.exhibits
    num_active = np.count_nonzero(stored["codes"][stored["conditional_images"]], axis=1)
    rows: list[dict[str, object]] = []
    for place in np.flatnonzero(num_active)[:num_images]:
        image = int(stored["conditional_images"][place])
        about = {"label": int(stored["labels"][image]), "image": image}
        about |= {"num_active": int(num_active[place]), "num_kept": int(stored["conditional_kept"][place])}
        pictures = [("image", stored["images"][image]), ("decoded", stored["reconstructions"][image])]
        pictures += [("samples", sample) for sample in stored["conditional_samples"][place]]
        rows += [shown.columns | about | {"shows": what, "picture": picture} for what, picture in pictures]
    return rows


FIGURE = Figure(
    title="Samples that keep the largest entries of a code (the report's Figure 6)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(5.0, 0.75),
    shares="",
    note=note,
)
