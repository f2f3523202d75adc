"""The settings in which the trials of a search differ, as numbers on an axis."""

import numpy as np
import pandas as pd

from analysis.tables.series import NothingToDrawError, varying_settings
from analysis.wording import model_label

WIDE_RANGE = 10.0
MAX_LEVELS = 6


def list_searched_settings(trials: pd.DataFrame) -> pd.DataFrame:
    """A row per trial and setting in which trials differ: trial_id, setting, at, level.

    at: the value, or for text the number of its level, from 0 in the order of the alphabet; NaN where a model has
    no such setting. level: the text, None for numbers.
    """
    refuse_populations(trials)
    names = varying_settings(trials)
    if not names:
        raise NothingToDrawError("the trials differ in no setting")
    return pd.concat([_place(trials, name) for name in names], ignore_index=True)


def refuse_populations(trials: pd.DataFrame) -> None:
    """Refuse trials whose population changed settings on the way: their values say little of those they began with.

    Raises:
        NothingToDrawError: there are such trials.
    """
    if (trials["scheduler"] == "pbt").any():
        raise NothingToDrawError("PBT changes settings while it trains; the history has them, as pbt/...")


def prefers_log(values: pd.Series) -> bool:
    """Whether a log axis suits these values: positive, over a wide range, and, if whole numbers, spaced by ratio."""
    levels = np.unique(values.dropna().to_numpy(float))
    if levels.size == 0 or levels[0] <= 0 or levels[-1] < WIDE_RANGE * levels[0]:
        return False
    return bool((levels % 1).any()) or is_geometric(levels)


def has_few_levels(values: pd.Series) -> bool:
    """Whether an axis has room for a tick at each of these values, and each of them comes up twice on average."""
    return values.nunique() <= min(MAX_LEVELS, len(values) // 2)


def _place(trials: pd.DataFrame, name: str) -> pd.DataFrame:
    column = trials[name]
    frame = pd.DataFrame({"trial_id": trials["trial_id"], "setting": name})
    if pd.api.types.is_numeric_dtype(column):
        return frame.assign(at=column.astype(float), level=None)
    codes, _ = pd.factorize(column, sort=True)
    texts = column.map(model_label, na_action="ignore") if name == "model" else column
    return frame.assign(at=np.where(codes < 0, np.nan, codes), level=texts.astype(object).where(codes >= 0, None))


def is_geometric(levels: np.ndarray) -> bool:
    """Whether sorted positive levels are spaced more evenly by ratio than by difference."""
    if len(levels) < 3 or levels[0] <= 0:
        return False
    gaps, ratios = np.diff(levels), np.diff(np.log(levels))
    return bool(np.std(ratios) / np.mean(ratios) < np.std(gaps) / np.mean(gaps))
