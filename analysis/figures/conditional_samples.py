"""What do an image's active latents hold? Pictures that keep some entries of its code and redraw the rest."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from analysis.drawing.figure import Figure
from analysis.drawing.pictures import draw_pictures, name_columns, name_rows
from analysis.tables import Tables
from analysis.tables.arrays import Shown
from analysis.tables.configurations import short_labels
from analysis.tables.exhibits import NAMED_BY, RULE, choose_trials, shown_note
from analysis.tables.series import NothingToDrawError

MAX_LATENT_DIMS = 3
MAX_ROWS = 12  # of pictures, over all trials
AT_RANDOM, LARGEST = "at random", "the largest"


def compute(tables: Tables) -> pd.DataFrame:
    """A row per picture: its image, what it `shows` (image, decoded or samples), how many entries are active and kept.

    keeps: which entries the samples keep: those that a draw leaves, "at random", as the notebook of the report's figure
    has it, or "the largest", as its text has it. num_kept: of the former a mean over the samples. Trials of older
    versions have the latter alone. Shows of each model the smallest alpha, at the smallest, the median and the largest
    latent dimension.
    """
    chosen = choose_trials(tables, num_latent_dims=MAX_LATENT_DIMS)
    num_ways = sum(len(_list_ways(shown)) for shown in chosen)
    rows = [row for shown in chosen for row in _list_rows(shown, max(1, MAX_ROWS // num_ways))]
    if not rows:
        raise NothingToDrawError("every code of the trials shown is all zero")
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row per trial, image and what the samples keep."""
    return len(frame.drop_duplicates(["trial_id", "image", "keeps"])), 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw in each row an image, its code decoded, then the samples.

    axes: rows and columns as `shape` has them.
    """
    named: Hashable = None
    by_row = frame.groupby(["trial_id", "image", "keeps"], sort=False)
    for ax, ((trial_id, _, keeps), of_row) in zip(axes[:, 0], by_row, strict=True):
        draw_pictures(ax, np.stack(list(of_row["picture"]))[None])
        kept, active = of_row["num_kept"].iloc[0], of_row["num_active"].iloc[0]
        name_rows(ax, [f"{kept:.0f} kept of {active},\n{keeps}"])
        if trial_id != named:
            named = trial_id
            (title,) = short_labels(of_row.head(1), NAMED_BY)
            ax.set_title(title, fontsize=9.5)
            name_columns(ax, list(of_row["shows"]))


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    text = "As Figure 6 of the report: a test image, its code decoded, and samples in which some of the active entries "
    text += "(those not zero) are drawn anew from the slab N(0, 1); named left, how many are kept. "
    if (frame["keeps"] == AT_RANDOM).any():
        text += (
            "At random: those that are left when as many as 80% of the active ones are drawn, with replacement, to be "
            "redrawn, as the notebook of the report's figure does, which took models of 100 to 500 epochs. "
        )
    return f"{text}The largest: those farthest from zero are kept. {RULE} {shown_note(frame)}"


def _list_ways(shown: Shown) -> list[str]:
    return [AT_RANDOM, LARGEST] if "redrawn_samples" in shown.arrays else [LARGEST]


def _list_rows(shown: Shown, num_images: int) -> list[dict[str, object]]:
    stored = shown.arrays
    num_active = np.count_nonzero(stored["codes"][stored["conditional_images"]], axis=1)
    rows: list[dict[str, object]] = []
    for place in np.flatnonzero(num_active)[:num_images]:
        image = int(stored["conditional_images"][place])
        for keeps in _list_ways(shown):
            kept = float(stored["conditional_kept"][place])
            samples = stored["conditional_samples"][place]
            if keeps == AT_RANDOM:
                kept = num_active[place] - float(stored["redrawn_counts"][place].mean())
                samples = stored["redrawn_samples"][place]
            about = {"label": int(stored["labels"][image]), "image": image, "keeps": keeps}
            about |= {"num_active": int(num_active[place]), "num_kept": kept}
            pictures = [("image", stored["images"][image]), ("decoded", stored["reconstructions"][image])]
            pictures += [("samples", sample) for sample in samples]
            rows += [shown.columns | about | {"shows": what, "picture": picture} for what, picture in pictures]
    return rows


FIGURE = Figure(
    title="Samples that keep entries of a code (the report's Figure 6)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(5.0, 0.75),
    shares="",
    note=note,
)
