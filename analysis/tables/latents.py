"""The arrays that trials stored of each latent: read, checked, and which trials of a study show theirs.

The file `<trial_id>-latents.npz` of a trial is a contract with `models.measures.per_latent`, whose docstring says what
each array is. LAYOUT and KL_LAYOUT repeat it here, since analysis may not import models;
tests/analysis/tables/test_latents.py writes a file with the one and reads it with the other.
"""

from analysis.tables.arrays import Layout, Shown, find_stored, read_arrays, read_each
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.series import NothingToDrawError, spread, varying_settings
from analysis.tables.tables import Tables

LAYOUT: Layout = {
    "slab_prob": ("f", "D"),
    "gate_information": ("f", "D"),
    "classes": ("i", "K"),
    "slab_prob_by_class": ("f", "KD"),
}
KL_LAYOUT: Layout = {"kl": ("f", "D")}  # absent where it has no closed form
ENDING = "-latents.npz"


def choose_latents(tables: Tables, *, num_trials: int) -> list[Shown]:
    """The trials that a figure shows, of all that finished and stored what each latent does.

    Of each configuration the largest latent dimension and the seed of the median test ELBO. Of more configurations than
    `num_trials`, first one of those that differ in the schedule of the sharpness alone, then as many as there is room
    for, evenly from the first to the last by model and alpha. `label` tells them apart; `standing` says what it
    reached; `num_left_out` counts the configurations that are not shown; `left_out` says which files are broken.

    Raises:
        NothingToDrawError: there are none.
    """
    rows, standing = find_stored(tables, ENDING)
    folder = tables.exhibits
    if folder is None or rows.empty:
        raise NothingToDrawError("no finished trial has stored what each latent does (latents under evaluate)")
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
    trials = []
    for label, reached, row in zip(labels, standing[shown.index], shown.to_dict("records"), strict=True):
        columns = {name: row[name] for name in ("trial_id", "model", "alpha", "latent_dim", "seed")}
        trials.append(columns | {"label": label, "standing": reached, "num_left_out": len(rows) - len(shown)})
    return read_each(trials, lambda trial_id: read_arrays(folder / f"{trial_id}{ENDING}", LAYOUT, later=KL_LAYOUT))
