"""The arrays that trials stored of each latent: read, checked, and which trials of a study show theirs.

The file `<trial_id>-latents.npz` of a trial is a contract with `models.measures.per_latent`, whose docstring says what
each array is. LAYOUT repeats it here, since analysis may not import models; tests/analysis/tables/test_latents.py
writes a file with the one and reads it with the other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.tables.arrays import Layout, read_arrays
from analysis.tables.configurations import (
    describe_standing,
    longest_of_each,
    median_of_each,
    number_configurations,
    short_labels,
)
from analysis.tables.series import NothingToDrawError, finished_with, spread, varying_settings
from analysis.tables.tables import Tables

LAYOUT: Layout = {
    "slab_prob": ("f", "D"),
    "kl": ("f", "D"),
    "gate_information": ("f", "D"),
    "classes": ("i", "K"),
    "slab_prob_by_class": ("f", "KD"),
}


@dataclass(frozen=True)
class LatentsOfTrial:
    """One trial in a figure. columns: which one it is, the same in every row of the figure's frame."""

    columns: dict[str, Any]
    arrays: dict[str, np.ndarray]


def choose_latents(tables: Tables, *, num_trials: int) -> list[LatentsOfTrial]:
    """The trials that a figure shows, of all that finished and stored what each latent does.

    Of each configuration the largest latent dimension and the seed of the median test ELBO. Of more configurations than
    `num_trials`, first one of those that differ in the schedule of the sharpness alone, then as many as there is room
    for, evenly from the first to the last by model and alpha. `label` tells them apart; `standing` says what it
    reached; `num_left_out` counts the configurations that are not shown; `broken` says why a file was left out.

    Raises:
        NothingToDrawError: there are none.
    """
    rows = finished_with(tables.trials, ())
    standing = describe_standing(rows)
    folder = tables.exhibits
    if folder is not None:
        rows = rows[[(folder / f"{trial_id}-latents.npz").is_file() for trial_id in rows["trial_id"]]]
    if folder is None or rows.empty:
        raise NothingToDrawError("no finished trial has stored what each latent does (latents under evaluate)")
    rows = median_of_each(longest_of_each(rows))
    rows = rows.assign(configuration=number_configurations(rows, apart_from=["latent_dim"]))
    rows = rows.sort_values(["latent_dim", "seed"], ascending=[False, True], kind="stable")
    rows = rows.drop_duplicates("configuration").sort_values(["model", "alpha", "configuration"])
    shown = rows
    if len(rows) > num_trials:
        alike = number_configurations(rows, apart_from=["latent_dim", "sharpness_schedule", "configuration"])
        shown = rows[~alike.duplicated()]
    shown = shown.iloc[[int(place) for place in spread(range(len(shown)), num_trials)]]
    shown = shown.drop(columns="configuration")
    differing = varying_settings(shown, apart_from=["model", "alpha", "latent_dim"])
    labels = short_labels(shown, ["alpha", "latent_dim", *differing])
    found, broken = [], []
    for label, reached, row in zip(labels, standing[shown.index], shown.to_dict("records"), strict=True):
        columns = {name: row[name] for name in ("trial_id", "model", "alpha", "latent_dim", "seed")}
        columns |= {"label": label, "standing": reached, "num_left_out": len(rows) - len(shown)}
        try:
            arrays = read_arrays(folder / f"{row['trial_id']}-latents.npz", LAYOUT)
        except NothingToDrawError as reason:
            broken.append(str(reason))
            continue
        found.append((columns, arrays))
    if not found:
        raise NothingToDrawError("; ".join(broken))
    return [LatentsOfTrial(columns | {"broken": "; ".join(broken)}, arrays) for columns, arrays in found]
