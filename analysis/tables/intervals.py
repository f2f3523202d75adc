"""A mean and how surely it is known: the 95% interval of Student's t."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.special import ndtri, stdtrit  # scipy.stats has them too, but takes a second to import

from analysis.metrics import ANYWHERE, Limits

COVERAGE = 0.95


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95% interval over the seeds that both sides have; NaN where there is none."""

    mean: float
    low: float
    high: float
    num_seeds: int


def mean_interval(rows: pd.DataFrame, value: str, *, by: Sequence[str], limits: Limits) -> pd.DataFrame:
    """Columns `by`, mean, low, high and n of the values in each group, without NaN; no interval where n = 1.

    limits: where an interval ends, as the values do: those of `metric_of`, or ANYWHERE.
    """
    groups = rows.dropna(subset=[value]).groupby(list(by), dropna=False, observed=True)[value]
    frame = groups.agg(mean="mean", std="std", n="count").reset_index()
    half_width = stdtrit(frame["n"] - 1, (1 + COVERAGE) / 2) * frame["std"] / frame["n"] ** 0.5
    ends = {"low": frame["mean"] - half_width, "high": frame["mean"] + half_width}
    frame = frame.assign(**{name: end.clip(*limits) for name, end in ends.items()})
    return frame[[*by, "mean", "low", "high", "n"]]


def widen_by_images(means: pd.DataFrame, num_images: float) -> pd.DataFrame:
    """Let the intervals of mean accuracies over seeds (0 to 1) hold the choice of the test images, too.

    means: as from `mean_interval`. num_images: how many were classified, the same ones with every seed; NaN, where it
    is not known, leaves the intervals as they are. The variances add: that of the mean over seeds, and p (1 - p) / num
    of an accuracy p, as if each image were classified alike with every seed, which is the worst case. Nothing lies
    outside 0 and 1.
    """
    of_images = ndtri((1 + COVERAGE) / 2) ** 2 * means["mean"] * (1 - means["mean"]) / num_images
    of_seeds = (means["high"] - means["low"]) / 2
    uncut = pd.concat([means["high"] - means["mean"], means["mean"] - means["low"]], axis=1).max(axis=1)
    half_width = (uncut.where(of_seeds.notna()) ** 2 + of_images.fillna(0.0)) ** 0.5
    ends = {"low": means["mean"] - half_width, "high": means["mean"] + half_width}
    return means.assign(**{name: end.clip(0.0, 1.0) for name, end in ends.items()})


def paired_difference(by_seed: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    """The first less the second, paired by seed. A value may be NaN, where there is none.

    Differences that are all alike have no interval: by chance alone they seem to be sure.
    """
    seeds = sorted(by_seed.keys() & other.keys())
    frame = pd.DataFrame({"gain": [by_seed[seed] - other[seed] for seed in seeds], "all": 0})
    found = mean_interval(frame, "gain", by=["all"], limits=ANYWHERE)
    if found.empty:
        return Difference(float("nan"), float("nan"), float("nan"), 0)
    mean, low, high, num_seeds = found[["mean", "low", "high", "n"]].to_numpy(float)[0]
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12):
        low = high = float("nan")
    return Difference(float(mean), float(low), float(high), int(num_seeds))
