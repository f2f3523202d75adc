"""A mean and how surely it is known: the 95% interval of Student's t."""

from collections.abc import Sequence

import pandas as pd
from scipy.special import stdtrit  # scipy.stats has it too, but takes a second to import

COVERAGE = 0.95


def mean_interval(rows: pd.DataFrame, value: str, *, by: Sequence[str]) -> pd.DataFrame:
    """Columns `by`, mean, low, high and n of the values in each group, NaN apart; no interval where n = 1."""
    groups = rows.dropna(subset=[value]).groupby(list(by), dropna=False, observed=True)[value]
    frame = groups.agg(mean="mean", std="std", n="count").reset_index()
    half_width = stdtrit(frame["n"] - 1, (1 + COVERAGE) / 2) * frame["std"] / frame["n"] ** 0.5
    frame["low"], frame["high"] = frame["mean"] - half_width, frame["mean"] + half_width
    return frame[[*by, "mean", "low", "high", "n"]]
