"""One vertical axis of parallel coordinates: where each trial meets it, and its ticks, from 0 (below) to 1."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

from analysis.drawing.lines import near_values
from analysis.tables.searched_settings import has_few_levels, prefers_log
from analysis.wording import with_minus

ABSENT = -0.13  # where the line of a trial without the setting goes, below the axis
MAX_TICK_LENGTH = 12
NEAR = 0.06  # of the axis: a tick nearer to an end would touch its number


@dataclass(frozen=True)
class ParallelAxis:
    """heights: by trial_id. ticks: their heights by their text."""

    heights: pd.Series
    ticks: dict[str, float]


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    is_log: bool = False
    is_flipped: bool = False

    def heights(self, values: Iterable[float]) -> np.ndarray:
        """From 0 to 1, values beyond the ends clipped; one half where all values are equal."""
        ends, at = np.array([self.low, self.high]), np.array(list(values), float)
        if self.is_log:
            ends, at = np.log(ends), np.log(at)
        length = ends[1] - ends[0]
        shares = (np.clip(at, *ends) - ends[0]) / length if length > 0 else np.where(np.isnan(at), np.nan, 0.5)
        return 1 - shares if self.is_flipped else shares


def make_setting_axis(rows: pd.DataFrame) -> ParallelAxis:
    """The axis of a setting. rows: trial_id, at and level (see `list_searched_settings`)."""
    levels = rows.dropna(subset=["level"]).drop_duplicates("level")
    scale = _Scale(rows["at"].min(), rows["at"].max(), is_log=levels.empty and prefers_log(rows["at"]))
    if levels.empty:
        ticks = {_format_tick(tick): tick for tick in _choose_ticks(rows["at"], scale)}
    else:
        ticks = {str(row["level"])[:MAX_TICK_LENGTH]: row["at"] for row in levels.to_dict("records")}
    return _make_axis(rows, scale, ticks)


def make_objective_axis(rows: pd.DataFrame, *, is_maximised: bool) -> ParallelAxis:
    """The axis of an objective, its better end on top; values far from the bulk meet it at its end.

    rows: trial_id, at.
    """
    values = rows["at"]
    near = near_values(values)
    scale = _Scale(near.min(), near.max(), is_flipped=not is_maximised)
    ticks = {_format_tick(tick): tick for tick in _choose_ticks(values, scale)}
    if values.min() < scale.low:
        ticks[f"\N{LESS-THAN OR EQUAL TO} {_format_tick(scale.low)}"] = scale.low
    if values.max() > scale.high:
        ticks[f"\N{GREATER-THAN OR EQUAL TO} {_format_tick(scale.high)}"] = scale.high
    return _make_axis(rows, scale, ticks)


def _make_axis(rows: pd.DataFrame, scale: _Scale, ticks: dict[str, float]) -> ParallelAxis:
    heights = pd.Series(scale.heights(rows["at"]), index=rows["trial_id"])
    marks = dict(zip(ticks, scale.heights(ticks.values()).tolist(), strict=True))
    if heights.isna().any():
        marks["none"] = ABSENT
    return ParallelAxis(heights.fillna(ABSENT), marks)


def _choose_ticks(values: pd.Series, scale: _Scale) -> list[float]:
    """Each level if they are few; otherwise a few round values that the scale reaches."""
    if has_few_levels(values):
        return sorted(values.dropna().unique())
    subs = (1,) if scale.high > 1000 * scale.low else (1, 3)
    ticks = (LogLocator(subs=subs) if scale.is_log else MaxNLocator(5)).tick_values(scale.low, scale.high)
    inner = [float(tick) for tick in ticks if scale.low <= tick <= scale.high]
    places = scale.heights(inner)
    kept = [tick for tick, place in zip(inner, places, strict=True) if NEAR < place < 1 - NEAR]
    return [scale.low, *kept, scale.high]  # how far the search went is read off the ends


def _format_tick(value: float) -> str:
    return with_minus(f"{value:.4g}")
