"""What does each latent stand for? Pictures as the largest entries of a code change, one at a time."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.drawing.figure import Figure
from analysis.drawing.pictures import SMALL, draw_pictures, mark_column, name_columns, name_rows
from analysis.drawing.style import series_colour
from analysis.tables import Tables
from analysis.tables.arrays import Shown
from analysis.tables.configurations import short_labels
from analysis.tables.exhibits import NAMED_BY, RULE, choose_trials, shown_note
from analysis.tables.series import NothingToDrawError
from analysis.wording import with_minus, with_sign

MAX_LATENT_DIMS = 3
MOST_NAMED = 5  # columns that are all named; of more, every second one, as names are wider than their pictures


def compute(tables: Tables) -> pd.DataFrame:
    """A row per picture: the image and its label, the latent, its value as encoded, what is added to it, `picture`.

    Shows of each model the smallest alpha, at the smallest, the median and the largest latent dimension; of all trials
    the same image, that with the most active latents, of those that they stored. Latents by size of their entry.
    """
    chosen = choose_trials(tables, num_latent_dims=MAX_LATENT_DIMS)
    image = _choose_image(chosen)
    rows = [row for shown in chosen for row in _list_rows(shown, image)]
    if not rows:
        raise NothingToDrawError("every code of the trials shown is all zero")
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A column of panels per model, as many rows as one has trials shown."""
    return int(frame.groupby("model")["trial_id"].nunique().max()), frame["model"].nunique()


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a row of pictures per latent, a column per change; the middle one, marked, is the code as it was.

    axes: rows and columns as `shape` has them.
    """
    for of_column, (_, of_model) in zip(axes.T, frame.groupby("model"), strict=True):
        for ax in of_column[of_model["trial_id"].nunique() :]:
            ax.set_visible(False)
        for ax, (_, of_trial) in zip(of_column, of_model.groupby("trial_id", sort=False), strict=False):
            _draw_trial(ax, of_trial)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    return (
        "As Figure 5 of the report: each row changes one latent of an image's code (named with its encoded value, the "
        "largest first) by the number above the column, and leaves the others; the column marked is the code as it is. "
        "Of the test images that all of them stored, the same for all: that with the most latents not zero. "
        "An entry is a sample and may be large by chance: where a model without gates leaves nearly all of many "
        f"latents idle, most rows are of idle ones, which change nothing. {RULE} {shown_note(frame)}"
    )


def _draw_trial(ax: Axes, of_trial: pd.DataFrame) -> None:
    (name,) = short_labels(of_trial.head(1), NAMED_BY)
    first = of_trial.iloc[0]
    ax.set_title(f"{name}\nimage of class {first['label']}", fontsize=SMALL)
    latents = of_trial.drop_duplicates("latent")
    changes = of_trial["change"].unique()
    pictures = np.stack(list(of_trial["picture"]))
    draw_pictures(ax, pictures.reshape(len(latents), len(changes), *pictures.shape[1:]))
    name_rows(
        ax,
        [
            f"{latent}: {with_sign(encoded)}"
            for latent, encoded in zip(latents["latent"], latents["encoded"], strict=True)
        ],
    )
    middle = int(np.argmin(np.abs(changes)))
    step = 1 if len(changes) <= MOST_NAMED else 2
    names = [with_minus(f"{change:+.3g}") if change else "code" for change in changes]
    name_columns(ax, [name if (place - middle) % step == 0 else "" for place, name in enumerate(names)])
    mark_column(ax, middle, len(latents), series_colour(first["model"], first["alpha"]))
    ax.set_anchor("N")  # panels of a row may have fewer latents than their neighbours


def _choose_image(chosen: Sequence[Shown]) -> int:
    """The image with the most latents to change, counted over all trials, of those that each of them traversed."""
    counts: Counter[int] = Counter()
    common: set[int] = set.intersection(*(set(shown.arrays["traversed_images"].tolist()) for shown in chosen))
    for shown in chosen:
        latents = (shown.arrays["traversed_latents"] >= 0).sum(1)
        counts.update(dict(zip(shown.arrays["traversed_images"].tolist(), latents.tolist(), strict=True)))
    if not common:
        raise NothingToDrawError("the trials shown have traversed no image in common")
    return max(sorted(common), key=counts.__getitem__)


def _list_rows(shown: Shown, image: int) -> list[dict[str, object]]:
    stored = shown.arrays
    place = stored["traversed_images"].tolist().index(image)
    about = shown.columns | {"label": int(stored["labels"][image]), "image": image}
    rows: list[dict[str, object]] = []
    for latent, pictures in zip(stored["traversed_latents"][place], stored["traversals"][place], strict=True):
        if latent >= 0:
            of_latent = about | {"latent": int(latent), "encoded": float(stored["codes"][image, latent])}
            rows += [
                of_latent | {"change": float(change), "picture": picture}
                for change, picture in zip(stored["traversal_offsets"], pictures, strict=True)
            ]
    return rows


FIGURE = Figure(
    title="Pictures as one latent at a time changes (the report's Figure 5)",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.2, 2.4),
    shares="",
    note=note,
)
