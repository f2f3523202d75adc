"""Does the VSC's accuracy grow with the latent dimension where the VAE's no longer does?"""

import numpy as np
import pandas as pd

from analysis.claims.accuracy_past_best import NOTHING_PAST
from analysis.claims.curves import best_dims_of_others, pick, say_dims, say_missing, say_too_few, union_of_dims
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables

UNIT = "points per doubling"


class AccuracyGrowth(Quantity):
    """Slope of the accuracy against log2 of the latent dimension, by seed (percentage points per doubling).

    Two parts: the VSC's slope, and by how much it exceeds the VAE's, paired by seed. Slopes are taken from the VAE's
    best latent dimension on, as the other seeds have it (`best_dims_of_others`): over all latent dimensions, both grow,
    since the smallest are too small for either, and that is not what the report means.
    """

    under: Probe
    alpha: float

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = self.under.trace_accuracy(tables.trials)
        dims = union_of_dims(curves)
        vae, vsc = (pick(curves, model, alpha)[0].at(dims) for model, alpha in (("vae", None), ("vsc", self.alpha)))
        best = best_dims_of_others(vae.values)
        of_vae, of_vsc = (_fit_slopes(own.values, best) for own in (vae, vsc))
        lacks = say_missing(forgive_left_out(vae), forgive_left_out(vsc))
        lacks = lacks or say_too_few(best < dims[-1], NOTHING_PAST)
        note = "; ".join(
            text for text in (f"from latent dimension {say_dims(best)} on", self.under.say_dead(tables.trials)) if text
        )
        return [
            Sample(f"{vsc.name}: slope", UNIT, of_vsc, lacks, note),
            Sample(f"{vsc.name}: slope less the VAE's", UNIT, of_vsc - of_vae, lacks, note),
        ]


def _fit_slopes(accuracy: pd.DataFrame, start: pd.Series) -> pd.Series:
    """Least-squares slope per doubling for each seed from its start on; NaN where fewer than two points are left."""
    x = np.log2(accuracy.columns.to_numpy(float))
    slopes = []
    for own, first in zip(accuracy.to_numpy(float), np.log2(start.to_numpy(float)), strict=True):
        is_used = (x >= first) & np.isfinite(own)
        slopes.append(np.polyfit(x[is_used], own[is_used], 1)[0] if is_used.sum() > 1 else np.nan)
    return pd.Series(slopes, accuracy.index, dtype=float)
