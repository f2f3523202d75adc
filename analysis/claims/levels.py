"""A metric as it is, or its difference between two values of a setting."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from analysis.claims.curves import (
    Curve,
    as_not_run,
    compare_at,
    describe_missing,
    pick,
    sample_curves,
    trace_curves,
    union_of_dims,
)
from analysis.claims.quantity import Quantity, Sample, UndecidableError, limits_of_difference
from analysis.metrics import metric_of
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.wording import ALPHA, setting_label


class Level(Quantity):
    """A metric: a part for each model, alpha and latent dimension.

    max_alpha: only of the VSCs whose alpha is not larger. where: only of the trials with these settings.
    """

    metric: str
    model: Literal["vae", "vsc"] | None = None
    max_alpha: float | None = None
    where: Mapping[str, str | float] = {}

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = trace_curves(select(tables.trials, self.where), self.metric, of=tables.trials)
        if self.model:
            curves = pick(curves, self.model)
        if self.max_alpha is not None:
            curves = [curve for curve in curves if not curve.alpha > self.max_alpha]
            if not curves:
                raise UndecidableError(f"the study has no model with {ALPHA} of {self.max_alpha:g} or less")
        return sample_curves(curves, metric_of(self.metric).unit_or_whole, limits=metric_of(self.metric).limits)


class SettingDifference(Quantity):
    """A metric with one value of a setting less that with another: parts as `Level` has them.

    where: only of the trials with these settings.
    """

    metric: str
    setting: str
    value: str | float
    minus: str | float
    where: Mapping[str, str | float] = {}

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        first, second = (
            {curve.name: curve for curve in self._trace(tables, value)} for value in (self.value, self.minus)
        )
        unit, limits = metric_of(self.metric).unit_or_whole, limits_of_difference(metric_of(self.metric).limits)
        samples = []
        for name in dict.fromkeys([*first, *second]):
            curves = [of_value.get(name) or as_not_run((first | second)[name]) for of_value in (first, second)]
            for dim in union_of_dims(curves):
                lacks = "; ".join(
                    f"{missing}, with {setting_label(self.setting)} = {value}"
                    for curve, value in zip(curves, (self.value, self.minus), strict=True)
                    if (missing := describe_missing(curve.at([dim])))
                )
                samples.append(compare_at(name, unit, curves[0], curves[1], dim, lacks=lacks, limits=limits))
        return samples

    def _trace(self, tables: Tables, value: str | float) -> list[Curve]:
        return trace_curves(select(tables.trials, {**self.where, self.setting: value}), self.metric, of=tables.trials)


def select(trials: pd.DataFrame, where: Mapping[str, str | float]) -> pd.DataFrame:
    """The trials that have these settings.

    Raises:
        UndecidableError: there is none.
    """
    for name, value in where.items():
        trials = trials[trials[name] == value] if name in trials else trials.head(0)
        if trials.empty:
            raise UndecidableError(f"the study has no trial with {setting_label(name)} = {value}")
    return trials


class SecondsPerEpoch(Quantity):
    """Seconds of training per epoch on one kind of device: a part for each model, alpha and latent dimension.

    Trials that were trained together count with their share of the time.
    """

    device: Literal["cpu", "gpu"]

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        device = tables.trials.get("device")
        if device is None:
            raise UndecidableError("the tables do not say which device trained")
        trials = tables.trials[device.notna() & ((device == "cpu") == (self.device == "cpu"))]
        if trials.empty:
            raise UndecidableError(f"no trial was trained on a {self.device.upper()}")
        trials = longest_of_each(trials)  # whose epochs the shorter ones share
        trials = trials.assign(**{"cost/epoch": trials["train_seconds"] / trials["epochs_trained"]})
        curves = trace_curves(trials, "cost/epoch")
        return sample_curves(curves, "seconds per epoch", limits=(0.0, np.inf))
