"""What does the largest entry of a code stand for? The picture when that entry is made small or negated."""

import numpy as np
import pandas as pd

from analysis.drawing.figure import Figure
from analysis.drawing.pictures import draw_code, draw_picture
from analysis.drawing.style import series_colour
from analysis.tables import Tables
from analysis.tables.exhibits import MEDIAN_SEED, choose_trials, shown_note
from analysis.tables.series import NothingToDrawError
from analysis.wording import ALPHA, model_label, plural, with_minus

MAX_IMAGES = 3


def compute(tables: Tables) -> pd.DataFrame:
    """A row per image and factor (1 first: as encoded): the edited latent, its value, `code` and `picture`; the
    `original` that was encoded.

    Of the first model with a sparse code, the smallest alpha and the largest latent dimension; of its images the first
    whose code is not all zero.
    """
    shown = choose_trials(tables, only_sparse=True)[0]
    stored = shown.arrays
    images = np.flatnonzero(stored["edited_latents"] >= 0)[:MAX_IMAGES]
    if not len(images):
        raise NothingToDrawError("every code of the trial shown is all zero")
    rows = []
    for image in images:
        latent = stored["edited_latents"][image]
        original = stored["images"][image]
        pictures = [stored["reconstructions"][image], *stored["edited_pictures"][image]]
        for factor, picture in zip([1.0, *stored["edited_factors"]], pictures, strict=True):
            code = stored["codes"][image].copy()
            code[latent] *= factor
            about = {"label": int(stored["labels"][image]), "image": int(image), "factor": float(factor)}
            edited = {"latent": int(latent), "value": float(code[latent]), "num_nonzero": np.count_nonzero(code)}
            rows.append(shown.columns | about | edited | {"code": code, "picture": picture, "original": original})
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Two rows of panels per image, code above picture; a column for the image itself, and one per factor."""
    return 2 * frame["image"].nunique(), 1 + frame["factor"].nunique()


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw the image that was encoded, codes with the edited entry marked, and below each the picture decoded from it.

    axes: rows and columns as `shape` has them.
    """
    for above, below, (_, of_image) in zip(axes[::2], axes[1::2], frame.groupby("image"), strict=True):
        highest = max(np.abs(code).max() for code in of_image["code"])
        above[0].set_visible(False)
        draw_picture(below[0], of_image["original"].iloc[0])
        below[0].set_title("the image", fontsize=9.5)
        for code_ax, picture_ax, row in zip(above[1:], below[1:], of_image.to_dict("records"), strict=True):
            colour = series_colour(row["model"], row["alpha"])
            draw_code(code_ax, row["code"], colour, marked=row["latent"])
            code_ax.set_ylim(-1.2 * highest, 1.2 * highest)
            code_ax.set_title(_name_edit(row["latent"], row["factor"]), fontsize=9.5)
            draw_picture(picture_ax, row["picture"])
        above[1].set_ylabel("code entry", fontsize=9)
        above[-1].set_xlabel("latent", fontsize=9)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trial it shows."""
    model = model_label(frame["model"].iloc[0])
    return (
        f"As Figure 3 of the report, for {plural(frame['image'].nunique(), 'test image')}: its code (a sample of "
        "q(z|x); entries that are zero are not drawn) and below it the picture decoded from it. The entry in colour is "
        f"the code's largest in size. Of the {model}: the smallest {ALPHA}, the largest latent dimension, "
        f"{MEDIAN_SEED}. {shown_note(frame)}"
    )


def _name_edit(latent: int, factor: float) -> str:
    return f"latent {latent} as encoded" if factor == 1 else f"latent {latent} times {with_minus(f'{factor:g}')}"


FIGURE = Figure(
    title="Pictures when the largest entry of a code is edited (the report's Figure 3)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(1.9, 1.25),
    shares="",
    note=note,
)
