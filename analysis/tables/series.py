"""Which trials may be averaged: those whose settings agree in all but the seed.

A study by grid has few configurations, each over seeds: every one becomes a series with its own label. In a
random or adaptive search nearly every trial is its own configuration: then trials are shown one by one.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.metrics import metric_of
from analysis.tables.intervals import mean_interval
from analysis.tables.tables import settings_of
from analysis.wording import configuration_label, exact_value

MAX_SERIES = 10
MAX_SINGLES = 6  # series of one trial each
SERIES_COLUMNS = ["series", "model", "alpha", "variant", "individual"]


class NothingToDrawError(Exception):
    """The tables cannot support a figure; the message is the reason."""


def finished_with(trials: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The finished trials that have a finite value in all of these columns."""
    finished = trials[trials["status"] == "finished"]
    if finished.empty:
        raise NothingToDrawError("no trial has finished")
    for column in columns:
        if column not in finished or finished[column].isna().all():
            raise NothingToDrawError(f"no finished trial has a value of {column}")
    rows = finished.dropna(subset=list(columns))
    if rows.empty:
        raise NothingToDrawError(f"no finished trial has all of {', '.join(columns)}")
    return rows


def varying_settings(trials: pd.DataFrame, *, apart_from: Collection[str] = ()) -> list[str]:
    """Settings in which trials differ. A setting that only some models have is not in itself a difference."""
    names = [name for name in settings_of(trials) if name not in apart_from]
    share_missing = trials[names].isna().groupby(trials["model"]).mean()  # not a function for each of sixty columns
    is_partly_missing = ((share_missing > 0) & (share_missing < 1)).any()
    return [name for name in names if is_partly_missing[name] or trials[name].nunique() > 1]


def varying_within_models(trials: pd.DataFrame, *, apart_from: Collection[str] = ()) -> list[str]:
    """Those settings in which trials of one model differ: one that differs between models alone goes without saying."""
    by_model = trials.groupby("model")
    names = varying_settings(trials, apart_from=["model", *apart_from])
    return [name for name in names if (by_model[name].nunique(dropna=False) > 1).any()]


def assign_series(trials: pd.DataFrame, *, apart_from: Sequence[str]) -> pd.DataFrame:
    """Add to each trial its series: trials alike in every setting but the seed and those in `apart_from`.

    series: ordered label. variant: number of the series among those of one model and alpha. individual:
    trials are shown one by one, with the model as `series`, and of a grid its alpha and estimator, too, unless these
    are more than MAX_SERIES. So they are where there are more than MAX_SERIES series, or where each holds a single
    trial and there are more than MAX_SINGLES of them (after a search, more than one).
    """
    named = [name for name in ("model", "alpha") if name not in apart_from]
    varying = varying_settings(trials, apart_from=[*named, *apart_from])
    group = trials.groupby([*named, *varying], dropna=False).ngroup()
    first = trials.assign(group=group).drop_duplicates("group").sort_values("group")
    is_grid = bool((trials["sampler"] == "grid").all())
    max_singles = MAX_SINGLES if is_grid else 1
    individual = len(first) > MAX_SERIES or (bool(varying) and max_singles < len(first) == len(trials))
    told = varying_within_models(trials, apart_from=[*named, *apart_from]) if "model" in named else varying
    shown = [*named, *told]
    if individual:
        shown = ["model", *(name for name in ("alpha", "estimator") if is_grid and name in (*named, *varying))]
        if len(first[shown].drop_duplicates()) > MAX_SERIES:
            shown = ["model"]
    labels = [configuration_label(row, shown, exact_value) for row in first[shown].to_dict("records")]
    part = first.groupby(shown if individual else ["group"], dropna=False).ngroup()
    variants = part.groupby([first[name] for name in named], dropna=False).rank(method="dense").to_numpy(int) - 1
    return trials.assign(
        series=pd.Categorical([labels[i] for i in group], categories=list(dict.fromkeys(labels)), ordered=True),
        variant=variants[group],
        individual=individual,
    )


def mean_over_seeds(rows: pd.DataFrame, value: str, *, by: Sequence[str], each_seed: bool = True) -> pd.DataFrame:
    """Mean and interval by series and `by`; in individual mode each trial's value, with n = 1.

    each_seed: add the column `by_seed`, where means are of more than one: the values of the seeds, in their order.
    """
    alone = ["trial_id"] if rows["individual"].any() else []
    keys = [*(name for name in SERIES_COLUMNS if name not in by), *by]
    means = mean_interval(rows, value, by=[*keys, *alone], limits=metric_of(value).limits)
    return means if alone or not each_seed else means.merge(values_by_seed(rows, value, by=keys), on=keys)


def one_seed_note(means: pd.DataFrame) -> str:
    """What points are, with a space before it, that have one seed where others of their series have more; or nothing.

    means: of `mean_over_seeds`, perhaps of several panels.
    """
    of_series = means.groupby(
        ["series", *means.columns.intersection(["panel", "probe", "input", "split", "bound"])], observed=True
    )["n"]
    is_one = (means["n"] == 1) & (of_series.transform("max") > 1)
    return " Ringed: one seed, so no interval." if is_one.any() else ""


def values_by_seed(rows: pd.DataFrame, value: str, *, by: Sequence[str]) -> pd.DataFrame:
    """Columns `by` and by_seed, the values of a group in the order of their seeds, as "0.5 0.25", without NaN."""
    there = rows.dropna(subset=[value]).sort_values("seed", kind="stable")
    groups = there.groupby(list(by), dropna=False, observed=True)[value]
    return groups.agg(lambda values: " ".join(f"{one:.6g}" for one in values)).rename("by_seed").reset_index()


def spread(values: Iterable[float], num: int) -> list[float]:
    """At most `num` of the values, from the smallest to the largest, evenly by rank; one is the median."""
    ordered = sorted(set(values))
    if num == 1:
        return [ordered[len(ordered) // 2]]
    ranks = np.linspace(0, len(ordered) - 1, min(num, len(ordered))).round().astype(int)
    return [ordered[rank] for rank in ranks]
