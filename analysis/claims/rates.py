"""How many of the trials end in a way that a mean over seeds would hide?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from analysis.claims.curves import pick, sample_curves, trace_curves
from analysis.claims.quantity import Quantity, Sample, UndecidableError
from analysis.tables import Tables

OF_TRIALS = "of the trials"
COUNTS_OF_LATENTS = ("code/num_informative", "code/active_units", "code/num_nonzero")


class ShareBelow(Quantity):
    """The share of trials in which a metric is below a value, with its exact interval: a part for each latent_dim.

    metric: the first of these that the study has measured. alpha: of the VSC, the first of these that the study has.
    A model with fewer latents than `below` always has a count of them below it, and is no part.
    """

    is_share: ClassVar[bool] = True

    metric: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    alpha: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    below: float

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        metric = find_measured(tables.trials, self.metric)
        (curve,) = pick(trace_curves(tables.trials, metric), "vsc", self.alpha)
        least = self.below if metric in COUNTS_OF_LATENTS else 0
        if not (dims := [dim for dim in curve.dims if dim >= least]):
            raise UndecidableError(f"no model has as many as {self.below:g} latents")
        curve = curve.at(dims)
        is_below = np.where(np.isnan(curve.values), np.nan, curve.values < self.below)
        note = f"{metric} below {self.below:g}"
        return sample_curves([replace(curve, values=is_below)], OF_TRIALS, note=note, is_share=self.is_share)


def find_measured(trials: pd.DataFrame, metrics: Sequence[str]) -> str:
    """The first of these metrics that a finished trial has.

    Raises:
        UndecidableError: none has any.
    """
    finished = trials[trials["status"] == "finished"]
    for metric in metrics:
        if metric in finished and finished[metric].notna().any():
            return metric
    raise UndecidableError(f"no finished trial has a value of {' or '.join(metrics)}")
