"""A metric of one model by seed and latent dimension: what most claims are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.claims.quantity import MIN_SEEDS, UndecidableError
from analysis.configurations import short_value
from analysis.drawing import plural
from analysis.series import setting_label, varying_settings
from analysis.style import ALPHA, model_label

MAX_NAMED = 3  # missing trials that are named one by one
NOT_RUN = "not run"


@dataclass(frozen=True)
class Curve:
    """values, status: by seed (index: every seed of the study) and latent dimension (columns, ascending).

    A value is NaN where the trial has not finished or has none.
    """

    model: str
    alpha: float
    values: pd.DataFrame
    status: pd.DataFrame

    @property
    def name(self) -> str:
        """The model and its alpha, as a reader says it."""
        return name_model(self.model, self.alpha)

    @property
    def dims(self) -> list[int]:
        """Latent dimensions, ascending."""
        return [int(dim) for dim in self.values.columns]

    def at(self, dims: Sequence[int]) -> "Curve":
        """The curve at these latent dimensions; where there is no trial it was not run."""
        status = self.status.reindex(columns=list(dims), fill_value=NOT_RUN)
        return Curve(self.model, self.alpha, self.values.reindex(columns=list(dims)), status)


def name_model(model: str, alpha: float) -> str:
    """Such as "VSC, alpha = 0.01", with the Greek letter."""
    return model_label(model) if np.isnan(alpha) else f"{model_label(model)}, {ALPHA} = {short_value(alpha)}"


def name_at(model: str, latent_dim: int) -> str:
    """A model, as `name_model` has it, at one latent dimension."""
    return f"{model} at latent dimension {latent_dim}"


def trace_curves(trials: pd.DataFrame, column: str, seeds: Sequence[int] | None = None) -> list[Curve]:
    """The curve of a metric for each model and alpha, the VAE first.

    seeds: of the whole study, where these are not all of its trials.

    Raises:
        UndecidableError: no finished trial has the metric, or several trials would be one point.
    """
    finished = trials["status"] == "finished"
    if not finished.any():
        raise UndecidableError("no trial has finished")
    if column not in trials or trials.loc[finished, column].isna().all():
        raise UndecidableError(f"no finished trial has a value of {column}")
    _refuse_twins(trials)
    index = np.unique(trials["seed"] if seeds is None else seeds)
    curves = []
    for _, rows in trials.groupby(["model", "alpha"], dropna=False):
        model, alpha = str(rows["model"].iloc[0]), float(rows["alpha"].iloc[0])
        dims = np.unique(rows["latent_dim"])
        values = np.full((len(index), len(dims)), np.nan)
        status = np.full(values.shape, NOT_RUN, dtype=object)
        place = np.searchsorted(index, rows["seed"]), np.searchsorted(dims, rows["latent_dim"])
        values[place] = rows[column].where(finished)
        status[place] = rows["status"]
        frames = [pd.DataFrame(array, index=index, columns=dims) for array in (values, status)]
        curves.append(Curve(model, alpha, *frames))
    return curves


def pick(curves: Sequence[Curve], model: str, alpha: float | None = None) -> list[Curve]:
    """The curves of one model, and of one alpha if one is given.

    Raises:
        UndecidableError: there is none.
    """
    found = [own for own in curves if own.model == model and alpha in (None, own.alpha)]
    if not found:
        wanted = name_model(model, float("nan") if alpha is None else alpha)
        raise UndecidableError(f"the study has no {wanted}")
    return found


def union_of_dims(curves: Sequence[Curve]) -> list[int]:
    """Every latent dimension that a curve has, ascending."""
    return sorted({dim for own in curves for dim in own.dims})


def say_missing(*curves: Curve) -> str:
    """Which trials have no value and why, or nothing."""
    lines: dict[str, None] = {}  # in order; a trial that several curves lack is named once
    for own in curves:
        for row, column in zip(*np.nonzero(own.values.isna().to_numpy()), strict=True):
            status = str(own.status.iat[row, column])
            reason = "without this measure" if status == "finished" else status
            lines[f"{name_at(own.name, own.dims[column])}, seed {own.values.index[row]} ({reason})"] = None
    named = list(lines)[:MAX_NAMED]
    more = [f"{plural(len(lines) - MAX_NAMED, 'other trial')}"] if len(lines) > MAX_NAMED else []
    return "; ".join([*named, *more])


def best_dims_of_others(values: pd.DataFrame) -> pd.Series:
    """For each seed, the latent dimension (column) with the highest mean over all *other* seeds.

    Where the best of several is chosen by the numbers that it is then judged by, it looks better than it is: part of
    why it was the best is chance. The other seeds' chance is not this seed's, so what it has there is unbiased. A lone
    seed has no others and is judged by its own: too few for a verdict anyway.
    """
    numbers = values.to_numpy(float)
    is_there = ~np.isnan(numbers)
    total, num = np.where(is_there, numbers, 0.0), is_there.astype(int)
    if len(numbers) > 1:
        total, num = total.sum(axis=0) - total, num.sum(axis=0) - num
    means = np.where(num > 0, total / np.maximum(num, 1), -np.inf)
    return pd.Series(values.columns.to_numpy()[means.argmax(axis=1)], index=values.index)


def say_too_few(is_there: pd.Series, what: str) -> str:
    """What is missing where too few seeds have it, or nothing.

    Where `best_dims_of_others` put a seed's best latent dimension at an end, the seed has no number, and to go on
    without it is fair: it was the other seeds that chose.
    """
    return "" if is_there.sum() >= min(MIN_SEEDS, len(is_there)) else what


def say_dims(dims: pd.Series) -> str:
    """One latent dimension, or the range of several."""
    low, high = int(dims.min()), int(dims.max())
    return f"{low}" if low == high else f"{low} to {high}, by seed"


def _refuse_twins(trials: pd.DataFrame) -> None:
    key = ["model", "alpha", "latent_dim", "seed"]
    is_twin = trials.duplicated(key, keep=False)
    if not is_twin.any():
        return
    settings = varying_settings(trials[is_twin], apart_from=["alpha", "latent_dim"])
    names = " and ".join(setting_label(name) for name in settings) or "nothing"
    raise UndecidableError(f"trials of one model, latent dimension and seed differ in {names}: they are no repetitions")
