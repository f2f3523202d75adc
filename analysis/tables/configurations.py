"""Which trials have one configuration, which share one training, which stands for its seeds, and short labels.

Trials that differ only in their number of epochs share a training: a shorter one is the beginning of a longer one. A
sharpness that rises in a ramp over the whole run is the exception: there the length shapes the training from the start.
"""

from collections.abc import Collection, Sequence
from functools import partial

import pandas as pd

from analysis.tables.tables import settings_of
from analysis.wording import configuration_label, decimal, fewest_digits, short_value

DEPENDS_ON_LENGTH = ("ramp",)  # schedules of the sharpness


def number_configurations(trials: pd.DataFrame, *, apart_from: Collection[str] = ()) -> pd.Series:
    """A number for each trial, the same for trials that agree in every setting but `apart_from`; the seed is none."""
    names = [name for name in settings_of(trials) if name not in apart_from]
    return trials.groupby(names, dropna=False).ngroup()


def decisive_length(trials: pd.DataFrame) -> pd.Series:
    """The number of epochs where it shapes the training from the start; NaN where it only says when to stop."""
    return trials["epochs"].where(trials["sharpness_schedule"].isin(DEPENDS_ON_LENGTH))


def longest_of_each(trials: pd.DataFrame) -> pd.DataFrame:
    """The longest of the trials that share a training; the shorter ones are its beginning."""
    training = number_configurations(trials.assign(epochs=decisive_length(trials)))
    order = trials.assign(training=training).sort_values("epochs", kind="stable")
    return trials.loc[order.drop_duplicates(["training", "seed"], keep="last").sort_index().index]


def median_of_each(trials: pd.DataFrame) -> pd.DataFrame:
    """Of each configuration the trial whose test ELBO is the median over its seeds; the lower of two seeds about it.

    Trials without a test ELBO count only where a configuration has no other: then that of the lowest seed is taken.
    """
    ranked = _with_bound(trials).sort_values(["test/elbo", "seed"], kind="stable")
    chosen = []
    for _, rows in ranked.groupby(number_configurations(trials)):
        num = max(int(rows["test/elbo"].count()), 1)  # those without one are last
        chosen.append(rows["seed"].iloc[[(num - 1) // 2, num // 2]].idxmin())
    return trials[trials.index.isin(chosen)]


def describe_standing(trials: pd.DataFrame) -> pd.Series:
    """Of each trial its test ELBO, and how it ranks among the seeds of its configuration; empty where it has none."""
    bound = _with_bound(trials)["test/elbo"]
    by_configuration = bound.groupby(number_configurations(trials))
    ranks, counts = by_configuration.rank(ascending=False, method="min"), by_configuration.transform("count")
    texts = [
        "" if pd.isna(value) else f"test ELBO {decimal(value)}" + (f", rank {rank:.0f} of {num} seeds" * (num > 1))
        for value, rank, num in zip(bound, ranks, counts, strict=True)
    ]
    return pd.Series(texts, trials.index, dtype=object)


def _with_bound(trials: pd.DataFrame) -> pd.DataFrame:
    return trials if "test/elbo" in trials else trials.assign(**{"test/elbo": float("nan")})


def short_labels(trials: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Label each trial by its model and these settings, with as few digits as tell different ones apart."""
    others = [name for name in names if name != "model"]
    rows = trials[["model", *others]]

    def label_all(digits: int) -> list[str]:
        write = partial(short_value, digits=digits)
        return [configuration_label(row, others, write) for row in rows.to_dict("records")]

    return fewest_digits(label_all, len(rows.drop_duplicates()))
