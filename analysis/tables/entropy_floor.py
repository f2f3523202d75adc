"""The entropy of grey pixels, which no model's distortion goes below; nats per image."""

import pandas as pd

from analysis.wording import OF_BOUNDS

FLOOR = "test/entropy_floor"


def find_floor(trials: pd.DataFrame) -> float:
    """The one floor of all these trials; NaN where none measured it, or where their images have several.

    A trial that was measured before there was a floor has none, and shares that of the others.
    """
    known = trials.reindex(columns=[FLOOR])[FLOOR].dropna().round(6).unique()
    return float(known[0]) if len(known) == 1 and have_comparable_bounds(trials) else float("nan")


def have_comparable_bounds(trials: pd.DataFrame) -> bool:
    """Whether all these trials saw the same images, under one likelihood: bounds of others cannot be compared."""
    return all(trials[name].nunique(dropna=False) == 1 for name in OF_BOUNDS if name in trials)
