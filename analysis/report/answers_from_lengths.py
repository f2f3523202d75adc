"""Answers to the open questions from trainings that were read off at several lengths."""

import pandas as pd

from analysis.figures.elbo_by_training_length import find_plateaus, read_at_lengths
from analysis.metrics import ANYWHERE
from analysis.tables import Tables, of_search
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.intervals import mean_interval
from analysis.tables.reported_numbers import EPOCHS
from analysis.tables.series import NothingToDrawError, finished_with, varying_settings
from analysis.wording import (
    NATS,
    decimal,
    markdown_table,
    model_label,
    plural,
    setting_label,
    short_value,
    span,
    with_interval,
)

NO_LENGTHS = "no study here reads the same trainings off at several lengths"


def has_lengths(tables: Tables) -> bool:
    """Whether the study has several lengths on its grid."""
    trials = of_search(tables).trials
    return bool((trials["sampler"] == "grid").all() and trials["epochs"].nunique() > 1)


def compute_gains(rows: pd.DataFrame, epochs: int = EPOCHS) -> pd.DataFrame:
    """By how much longer training raised the test ELBO (nats per image): mean and 95% interval, paired by seed.

    rows: finished trials, with the number of their `configuration`: all settings but the epochs. One row per
    configuration that was read off at `epochs` and later; `longest` is the length that it is compared at.
    """
    longest = rows.groupby("configuration")["epochs"].transform("max")
    pair = ["configuration", "seed"]
    early = rows[rows["epochs"] == epochs].set_index(pair)["test/elbo"].rename("early")
    late = rows.assign(longest=longest)[(rows["epochs"] == longest) & (longest > epochs)].join(early, on=pair)
    late = late.assign(gain=late["test/elbo"] - late["early"])
    return mean_interval(late, "gain", by=["configuration", "longest"], limits=ANYWHERE)


def describe_epochs(tables: Tables) -> str:
    """From which epoch on each configuration is at its plateau, and what that means for each latent dimension."""
    rows = _read_off(tables)
    first = rows.sort_values("epochs").drop_duplicates("configuration", keep="last")
    found = find_plateaus(rows, tables.history).merge(first[["configuration", "label", "latent_dim", "epochs"]])
    found = found.sort_values(["latent_dim", "configuration"])
    summaries, lines = [], []
    for latent_dim, of_dim in found.groupby("latent_dim"):
        is_there = of_dim["plateau_n"] == of_dim["num_seeds"]
        num, enough = int(is_there.sum()), f"{of_dim['plateau_max'][is_there].max():.0f} epochs were enough"
        late = f"cannot be said to be there after {of_dim['epochs'].max():,} epochs"
        if num == len(of_dim):
            text = f"{enough} for every seed of {'each configuration' if num > 1 else 'the one configuration'}"
        elif num:
            text = f"{enough} for {num} of {plural(len(of_dim), 'configuration')}, the rest {late}"
        else:
            text = f"{plural(len(of_dim), 'configuration')} {late}"
        summaries.append(f"at latent dimension {latent_dim:g}, {text}")
    for row in found.to_dict("records"):
        seeds = plural(int(row["num_seeds"]), "seed")
        if row["plateau_n"]:
            low, high = round(row["plateau_min"]), round(row["plateau_max"])
            epoch = "epoch" if low == high else "epochs"
            lines.append(f"- {row['label']}: from {epoch} {span(low, high)} on, {row['plateau_n']:.0f} of {seeds}.")
        else:
            lines.append(f"- {row['label']}: not yet after {row['epochs']:,} epochs, 0 of {seeds}.")
    images = "test" if tables.history["test/loss"].notna().any() else "validation"
    return (
        f"to stay within 1 nat per image of its plateau on {images} images, {'; '.join(summaries)}. "
        "Epoch by configuration, the first and the last of the seeds that got there:\n\n" + "\n".join(lines)
    )


def describe_convergence(tables: Tables) -> str:
    """What training beyond the report's number of epochs was worth."""
    rows = _read_off(tables)
    gains = compute_gains(rows)
    if gains.empty:
        raise NothingToDrawError(f"no configuration was read off both at {EPOCHS} epochs and later")
    names = ["model", "alpha", "latent_dim"]
    names += varying_settings(rows, apart_from=[*names, "epochs", "configuration", "label"])
    gains = gains.merge(rows[["configuration", *names]].drop_duplicates()).sort_values(["latent_dim", "configuration"])
    lines = [
        [
            model_label(row["model"]),
            *("-" if pd.isna(row[name]) else short_value(row[name]) for name in names[1:]),
            f"{row['longest']:,}",
            str(row["n"]),
            with_interval(row["mean"], row["low"], row["high"]),
        ]
        for row in gains.to_dict("records")
    ]
    head = [*map(setting_label, names), "epochs", "seeds", f"difference ({NATS})"]
    low, high = decimal(gains["mean"].min()), decimal(gains["mean"].max())
    span = low if low == high else f"{low} to {high}"
    without = rows["configuration"].nunique() - len(gains)
    lacking = f" ({plural(without, 'configuration')} lacked one of the two)" if without else ""
    return (
        f"the test ELBO after the longest training less that after {EPOCHS} epochs is {span} {NATS}"
        f"{lacking}. By configuration, paired by seed, mean and 95% interval:\n\n{markdown_table(head, lines)}"
    )


def _read_off(tables: Tables) -> pd.DataFrame:
    """The trials of configurations with several lengths, with their number and a label."""
    rows = read_at_lengths(finished_with(tables.trials, ["test/elbo"]))
    names = ["alpha", "latent_dim", *varying_settings(rows, apart_from=["alpha", "latent_dim", "epochs"])]
    return rows.assign(
        configuration=number_configurations(rows, apart_from=["epochs"]), label=short_labels(rows, names)
    )
