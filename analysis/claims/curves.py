"""A metric of one model by seed and latent dimension: what most claims are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.claims.quantity import Sample, UndecidableError
from analysis.tables.series import varying_settings
from analysis.wording import ALPHA, configuration_label, model_label, plural, setting_label, short_value

MAX_NAMED = 3  # missing trials that are named one by one
NOT_RUN = "not run"
NOT_ASKED = ""
"""The study has more seeds at other latent dimensions: with this one no model was trained here."""
LEFT_OUT = "left out"
"""Of a run that is not to count: it is not missing."""


@dataclass(frozen=True)
class Curve:
    """A metric of one model and alpha. Plain arrays, since a thousand of these are judged in a second."""

    model: str
    alpha: float
    seeds: NDArray[Any]  # (S,) every seed of the study, ascending
    dims: Sequence[int]  # (D,) latent dimensions, ascending
    values: NDArray[Any]  # (S, D) float, NaN where the trial has not finished or has none
    status: NDArray[Any]  # (S, D) of the trials, NOT_RUN or NOT_ASKED where there is none

    @property
    def name(self) -> str:
        """The model and its alpha, as a reader sees it."""
        return name_model(self.model, self.alpha)

    def at(self, dims: Sequence[int]) -> "Curve":
        """The curve at these latent dimensions; where there is no trial it was not run."""
        place = [self.dims.index(dim) if dim in self.dims else -1 for dim in dims]
        is_there = np.array(place) >= 0
        values = np.where(is_there, self.values[:, place], np.nan)
        status = np.where(is_there, self.status[:, place], NOT_RUN)
        return replace(self, dims=list(dims), values=values, status=status)


def as_not_run(curve: Curve) -> Curve:
    """The same curve as if none of its trials had been run."""
    status = np.where(curve.status == NOT_ASKED, NOT_ASKED, NOT_RUN)
    return replace(curve, values=curve.values * np.nan, status=status)


def name_model(model: str, alpha: float) -> str:
    """The model with its alpha, if it has one."""
    return configuration_label({"model": model, "alpha": alpha}, ["alpha"])


def name_at(model: str, latent_dim: int) -> str:
    """A model, as `name_model` has it, at one latent dimension."""
    return f"{model} at latent dimension {latent_dim}"


def trace_curves(trials: pd.DataFrame, column: str, *, of: pd.DataFrame | None = None) -> list[Curve]:
    """The curve of a metric for each model and alpha, the VAE first.

    of: the whole study, which says with which seeds each latent dimension was asked for, where `trials` are some of it.

    Raises:
        UndecidableError: no finished trial has the metric, or several trials would be one point.
    """
    finished = trials["status"] == "finished"
    if not finished.any():
        raise UndecidableError("no trial has finished")
    if column not in trials or trials.loc[finished, column].isna().all():
        raise UndecidableError(f"no finished trial has a value of {column}")
    _refuse_twins(trials)
    whole = trials if of is None else of
    all_seeds, asked = np.unique(whole["seed"]), set(zip(whole["seed"], whole["latent_dim"], strict=True))
    group = trials.groupby(["model", "alpha"], dropna=False).ngroup().to_numpy()
    numbers = trials[column].where(finished).to_numpy(float)
    seed, latent_dim = (trials[name].to_numpy() for name in ("seed", "latent_dim"))
    models, states = (trials[name].to_numpy(object) for name in ("model", "status"))
    alphas = trials["alpha"].to_numpy(float)
    curves = []
    for number in range(group.max() + 1):
        rows = np.flatnonzero(group == number)
        dims = np.unique(latent_dim[rows])
        values = np.full((len(all_seeds), len(dims)), np.nan)
        missing = [[NOT_RUN if (s, d) in asked else NOT_ASKED for d in dims] for s in all_seeds]
        status = np.array(missing, dtype=object)
        place = np.searchsorted(all_seeds, seed[rows]), np.searchsorted(dims, latent_dim[rows])
        values[place], status[place] = numbers[rows], states[rows]
        first = rows[0]
        curves.append(Curve(models[first], alphas[first], all_seeds, dims.astype(int).tolist(), values, status))
    return curves


def pick(curves: Sequence[Curve], model: str, alphas: Sequence[float] = ()) -> list[Curve]:
    """The curves of one model; if alphas are given, the one with the first of them that there is.

    Raises:
        UndecidableError: there is none.
    """
    found = [curve for curve in curves if curve.model == model]
    if alphas:
        found = [curve for alpha in alphas for curve in found if curve.alpha == alpha][:1]
    if not found:
        of_alpha = f" with {ALPHA} = {' or '.join(map(short_value, alphas))}" if alphas else ""
        raise UndecidableError(f"the study has no {model_label(model)}{of_alpha}")
    return found


def union_of_dims(curves: Sequence[Curve]) -> list[int]:
    """Every latent dimension that a curve has, ascending."""
    return sorted({dim for curve in curves for dim in curve.dims})


def pick_dims(curves: Sequence[Curve], choices: Sequence[Sequence[int]]) -> Sequence[int]:
    """The first of these lists of latent dimensions that the curves have; the first of all where they have none."""
    there = set(union_of_dims(curves))
    return next((dims for dims in choices if there.issuperset(dims)), choices[0])


def describe_missing(*curves: Curve) -> str:
    """The trials that have no value and why; nothing if all have one."""
    lines: dict[str, None] = {}  # in order; a trial that several curves lack is named once
    for curve in curves:
        for row, column in np.argwhere(np.isnan(curve.values)):
            status = curve.status[row, column]
            if status in (NOT_ASKED, LEFT_OUT):
                continue
            reason = "without this measure" if status == "finished" else status
            lines[f"{name_at(curve.name, curve.dims[column])}, seed {curve.seeds[row]} ({reason})"] = None
    named = list(lines)[:MAX_NAMED]
    more = [f"{plural(len(lines) - MAX_NAMED, 'other trial')}"] if len(lines) > MAX_NAMED else []
    return "; ".join([*named, *more])


def compare_at(part: str, unit: str, first: Curve, second: Curve, dim: int, **more: Any) -> Sample:
    """The first curve less the second at a latent dimension, as a part of a claim. more: of the `Sample`."""
    ours, theirs = first.at([dim]), second.at([dim])
    lacks = describe_missing(ours, theirs)
    about: dict[str, Any] = {"latent_dim": dim, "alphas": (first.alpha,), "lacks": lacks} | more
    return Sample(name_at(part, dim), unit, ours.values[:, 0], theirs.values[:, 0], **about)


def sample_curves(curves: Sequence[Curve], unit: str, **more: Any) -> list[Sample]:
    """The values of curves as the parts of a claim: one for each curve and latent dimension. more: of the `Sample`."""
    return [
        Sample(
            name_at(curve.name, dim),
            unit,
            curve.values[:, i],
            latent_dim=dim,
            alphas=(curve.alpha,),
            lacks=describe_missing(curve.at([dim])),
            **more,
        )
        for curve in curves
        for i, dim in enumerate(curve.dims)
    ]


def _refuse_twins(trials: pd.DataFrame) -> None:
    key = ["model", "alpha", "latent_dim", "seed"]
    is_twin = trials.duplicated(key, keep=False)
    if not is_twin.any():
        return
    settings = varying_settings(trials[is_twin], apart_from=["alpha", "latent_dim"])
    names = " and ".join(setting_label(name) for name in settings) or "nothing"
    raise UndecidableError(f"trials of one model, latent dimension and seed differ in {names}: they are no repetitions")
