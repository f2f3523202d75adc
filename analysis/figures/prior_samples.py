"""What does the decoder make of samples of the prior, and of the Gaussian that the report drew from instead?"""

import math

import numpy as np
import pandas as pd

from analysis.drawing.caption import name_models
from analysis.drawing.figure import Figure
from analysis.drawing.pictures import draw_pictures
from analysis.tables import Tables
from analysis.tables.configurations import short_labels
from analysis.tables.exhibits import NAMED_BY, RULE, choose_trials, shown_note

MAX_LATENT_DIMS = 3
PER_ROW = 8


def compute(tables: Tables) -> pd.DataFrame:
    """A row per picture: whether the code is from the `prior` or the `gaussian`, and how many entries are not zero.

    Shows of each model the smallest alpha, at the smallest, the median and the largest latent dimension.
    A model without alpha has no sparse prior to compare the Gaussian with: it shows its prior alone.
    """
    rows = []
    for shown in choose_trials(tables, num_latent_dims=MAX_LATENT_DIMS):
        stored = shown.arrays
        for source in ("prior", "gaussian") if pd.notna(shown.columns["alpha"]) else ("prior",):
            for code, picture in zip(stored["prior_codes"], stored[f"{source}_pictures"], strict=True):
                num_nonzero = np.count_nonzero(code) if source == "prior" else code.size
                rows.append(shown.columns | {"source": source, "num_nonzero": num_nonzero, "picture": picture})
    return pd.DataFrame(rows)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row of panels per model and source, a column per trial of a model: its latent dimensions."""
    return len(_list_rows(frame)), int(frame.groupby("model")["trial_id"].nunique().max())


def _list_rows(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The model and the source of each row of panels."""
    return list(frame[["model", "source"]].drop_duplicates().itertuples(index=False, name=None))


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw the samples of each model's prior and, below those of a sparse one, of the Gaussian.

    axes: rows and columns as `shape` has them.
    """
    for ax in axes.flat:
        ax.set_visible(False)
    for of_row, (model, source) in zip(axes, _list_rows(frame), strict=True):
        of_model = frame[(frame["model"] == model) & (frame["source"] == source)]
        for ax, (_, of_source) in zip(of_row, of_model.groupby("trial_id", sort=False), strict=False):
            ax.set_visible(True)
            pictures = np.stack(list(of_source["picture"]))
            rows = math.ceil(len(pictures) / PER_ROW)
            table = np.full((rows * PER_ROW, *pictures.shape[1:]), np.nan)  # whose last row may not be full
            table[: len(pictures)] = pictures
            draw_pictures(ax, table.reshape(rows, PER_ROW, *pictures.shape[1:]))
            (trial,) = short_labels(of_source.head(1), NAMED_BY)
            mean = of_source["num_nonzero"].mean()
            what = "its prior" if source == "prior" else "N(0, 1) in every latent"
            ax.set_title(f"{trial}\n{what}: {mean:.3g} not zero", fontsize=9)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    sparse = name_models(frame, with_alpha=True)
    which = f", for the {sparse} the spike and slab" if sparse else ""
    return (
        f"Pictures decoded from random codes: from the model's own prior{which}, and from a Gaussian in every latent, "
        "as the report's code draws its samples. Above each: how many entries of a code are not zero on average. "
        f"{RULE} {shown_note(frame)}"
    )


FIGURE = Figure(
    title="Samples of the prior, and of the Gaussian that the report drew from",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.0, 2.1),
    shares="",
    note=note,
)
