"""The arrays that trials stored for the qualitative figures: read, checked, and which trials of a study show theirs.

The file `<trial_id>.npz` of a trial is a contract with `models.measures.exhibits`, whose docstring says what each array
is. LAYOUT repeats it here, since analysis may not import models; tests/models/measures/test_exhibits.py writes a file
with the one and reads it with the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.tables.arrays import Arrays, Layout, Shown, find_stored, read_arrays, read_each
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.series import NothingToDrawError, spread
from analysis.tables.tables import Tables
from analysis.wording import ALPHA, setting_label, short_value

LAYOUT: Layout = {
    "images": ("u", "MHW"),
    "labels": ("i", "M"),
    "codes": ("f", "MD"),
    "reconstructions": ("u", "MHW"),
    "edited_factors": ("f", "E"),
    "edited_latents": ("i", "M"),
    "edited_pictures": ("u", "MEHW"),
    "traversed_images": ("i", "T"),
    "traversed_latents": ("i", "TL"),
    "traversal_offsets": ("f", "O"),
    "traversals": ("u", "TLOHW"),
    "conditional_images": ("i", "C"),
    "conditional_kept": ("i", "C"),
    "conditional_samples": ("u", "CSHW"),
    "prior_codes": ("f", "PD"),
    "prior_pictures": ("u", "PHW"),
    "gaussian_pictures": ("u", "PHW"),
}
# Arrays that files of older versions lack.
LATER_LAYOUT: Layout = {"redrawn_counts": ("i", "CS"), "redrawn_samples": ("u", "CSHW")}
# Indices, -1 for none, and the size that they stay below.
PLACES = {"edited_latents": "D", "traversed_images": "M", "traversed_latents": "D", "conditional_images": "M"}

MEDIAN_SEED = "the seed of the median test ELBO among those stored"
RULE = f"Of each model: the smallest {ALPHA}; the smallest, the median and the largest latent dimension; {MEDIAN_SEED}."

NAMED_BY = ("network", "alpha", "latent_dim")
"""What names a trial that is shown, beside its model; the network only where several are."""

TRIAL_COLUMNS = ["trial_id", "model", *NAMED_BY, "epochs", "seed", "standing"]


def read_exhibits(file: Path) -> Arrays:
    """The arrays of one trial, complete and of shapes that fit each other; those of LATER_LAYOUT only if it has them.

    Raises:
        NothingToDrawError: the file is missing, broken, or not of this layout.
    """
    return read_arrays(file, LAYOUT, PLACES, later=LATER_LAYOUT)


def choose_trials(tables: Tables, *, num_latent_dims: int = 1, only_sparse: bool = False) -> list[Shown]:
    """The trials that a figure shows, of all that finished and stored exhibits.

    Of each model with each network (or each with a sparse code, so an alpha), those of the smallest alpha; of these
    the largest latent dimension, or `num_latent_dims` from the smallest to the largest; of these the seed of the median
    test ELBO (`median_of_each`), and of several configurations the first in the table. `standing` says what it
    reached, `left_out` which files are broken (`read_each`).

    Raises:
        NothingToDrawError: there are none.
    """
    rows, standing = find_stored(tables, ".npz")
    folder = tables.exhibits
    if folder is None:
        raise NothingToDrawError("the study stored no exhibits")
    if rows.empty:
        raise NothingToDrawError("no finished trial has stored exhibits")
    if only_sparse:
        rows = rows[rows["alpha"].notna()]
        if rows.empty:
            raise NothingToDrawError("no model with a sparse code has stored exhibits")
    networks = rows["network"] if "network" in rows and rows["network"].nunique() > 1 else None
    rows = rows.assign(network=networks, standing=standing[rows.index])
    return read_each(_pick(rows, num_latent_dims), lambda trial_id: read_exhibits(folder / f"{trial_id}.npz"))


def shown_note(frame: pd.DataFrame) -> str:
    """Which trials a figure shows, and which it cannot."""
    trials = frame.drop_duplicates("trial_id")
    common = [name for name in ("epochs", "seed") if len(trials) > 1 and trials[name].nunique() == 1]
    names = [name for name in (*NAMED_BY, "epochs", "seed") if name not in common]
    named = zip(short_labels(trials, names), trials["standing"], strict=True)
    labels = [f"{label} ({standing})" if standing else label for label, standing in named]
    labels += [f"{setting_label(name)} = {short_value(trials[name].iloc[0])} for all" for name in common]
    left_out = frame["left_out"].iloc[0]
    return f"Shown, of the trials below: {'; '.join(labels)}." + (f" Left out: {left_out}." if left_out else "")


def _pick(rows: pd.DataFrame, num_latent_dims: int) -> Iterator[dict[str, Any]]:
    for _, of_model in rows.groupby(["model", "network"], dropna=False):
        has_smallest = of_model["alpha"].isna() | (of_model["alpha"] == of_model["alpha"].min())
        of_alpha = of_model[has_smallest]
        configurations, _ = pd.factorize(number_configurations(of_alpha, apart_from=["latent_dim", "standing"]))
        of_alpha = of_alpha.assign(order=configurations).sort_values("order", kind="stable")
        of_alpha = of_alpha.drop_duplicates("latent_dim")  # the first configuration, wherever it was trained
        dims = of_alpha["latent_dim"]
        shown = spread(dims, num_latent_dims) if num_latent_dims > 1 else [dims.max()]
        chosen = of_alpha[dims.isin(shown)].sort_values("latent_dim")
        yield from (
            {str(name): value for name, value in row.items()} for row in chosen[TRIAL_COLUMNS].to_dict("records")
        )
