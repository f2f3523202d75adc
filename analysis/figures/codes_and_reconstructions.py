"""What does a code look like, and what does the decoder make of it?"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure
from analysis.drawing.pictures import SMALL, draw_code, draw_picture
from analysis.drawing.style import series_colour
from analysis.tables import Tables
from analysis.tables.configurations import short_labels
from analysis.tables.exhibits import NAMED_BY, RULE, choose_trials, shown_note

MAX_LATENT_DIMS = 3
MAX_IMAGES = 2
# Left, bottom, width and height, as shares of a panel.
INPUT, CODE, RECONSTRUCTION = (0.0, 0.1, 0.22, 0.8), (0.38, 0.14, 0.36, 0.7), (0.78, 0.1, 0.22, 0.8)


def compute(tables: Tables) -> pd.DataFrame:
    """A row per trial and image: `picture_input`, `code`, `picture_reconstruction`, and how many entries are not zero.

    Shows of each model the smallest alpha, at the smallest, the median and the largest latent dimension.
    """
    rows = []
    for shown in choose_trials(tables, num_latent_dims=MAX_LATENT_DIMS):
        stored = shown.arrays
        for image in range(min(MAX_IMAGES, len(stored["images"]))):
            code = stored["codes"][image]
            about = {"label": int(stored["labels"][image]), "image": image, "num_nonzero": np.count_nonzero(code)}
            pictures = {
                "picture_input": stored["images"][image],
                "picture_reconstruction": stored["reconstructions"][image],
            }
            rows.append(shown.columns | about | {"code": code} | pictures)
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row of panels per trial, a column per image."""
    return frame["trial_id"].nunique(), frame["image"].nunique()


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw from left to right the test image, its code and the picture decoded from the code.

    axes: rows and columns as `shape` has them.
    """
    for of_row, (_, of_trial) in zip(axes, frame.groupby("trial_id", sort=False), strict=True):
        (title,) = short_labels(of_trial.head(1), NAMED_BY)
        of_row[0].set_title(title, loc="left", fontsize=9.5)
        for ax, row in zip(of_row, of_trial.to_dict("records"), strict=True):
            code_ax = _draw_row(ax, row)
            if ax is axes[-1, 0]:  # names both axes once for all codes
                code_ax.set_xlabel("latent", fontsize=SMALL)
                code_ax.set_ylabel("code entry", fontsize=SMALL, labelpad=2)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    return (
        "As Figure 4 of the report: a test image, its code (a sample of q(z|x), one stem per entry that is not zero), "
        f"and the picture decoded from it. Each code has a scale of its own. {RULE} {shown_note(frame)}"
    )


def _draw_row(ax: Axes, row: Mapping[Hashable, Any]) -> Axes:
    """Divide one panel among the image, the code and the reconstruction; return the code's axes."""
    ax.axis("off")
    draw_picture(ax.inset_axes(INPUT), row["picture_input"])
    draw_picture(ax.inset_axes(RECONSTRUCTION), row["picture_reconstruction"])
    code_ax = ax.inset_axes(CODE)
    draw_code(code_ax, row["code"], series_colour(row["model"], row["alpha"]))
    code_ax.set_title(f"{row['num_nonzero']} of {len(row['code'])} not zero", fontsize=SMALL)
    return code_ax


FIGURE = Figure(
    title="Images, their codes, and the pictures decoded from them (the report's Figure 4)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.0, 1.25),
    shares="",
    note=note,
)
