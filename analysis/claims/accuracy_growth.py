"""Does the VSC's accuracy grow with the latent dimension where the VAE's no longer does?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from analysis.claims.accuracy_past_best import NOTHING_PAST, join_parts, trace_both
from analysis.claims.curves import find_best_of_others, say_best, say_missing, say_too_few
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables

UNIT = "points per doubling"


class AccuracyGrowth(Quantity):
    """Slope of the accuracy against log2 of the latent dimension, by seed (percentage points per doubling).

    Two parts: the VSC's slope, and by how much it exceeds the VAE's, paired by seed. Slopes are taken from the VAE's
    best latent dimension on, as the other seeds have it (`find_best_of_others`): over all latent dimensions, both grow,
    since the smallest are too small for either, and that is not what the report means. Beyond its best the VAE cannot
    rise on average, so the second part asks for no more than that the VSC rises faster than that.
    alpha: of the VSC, the first of these that the study has.
    """

    under: Probe
    alpha: tuple[float, ...] = Field(strict=False, min_length=1)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        best = find_best_of_others(vae.values)
        of_vae, of_vsc = (_fit_slopes(vae.dims, own.values, best) for own in (vae, vsc))
        lacks = say_missing(*map(forgive_left_out, (vae, vsc))) or say_too_few(best < len(vae.dims) - 1, NOTHING_PAST)
        start = f"from latent dimension {say_best(vae.dims, best)}{',' if len(set(best)) > 1 else ''} on"
        note = join_parts([start, self.under.say_dead(tables.trials, vae, vsc)])
        return [
            Sample(f"{vsc.name}: slope", UNIT, of_vsc, lacks, note),
            Sample(f"{vsc.name}: slope less the VAE's", UNIT, of_vsc - of_vae, lacks, note),
        ]


def _fit_slopes(
    dims: Sequence[int],
    accuracy: NDArray[np.float64],  # (S, D)
    start: NDArray[np.intp],  # (S,)
) -> NDArray[np.float64]:  # (S,)
    """Least-squares slope per doubling for each seed from its start on; NaN where fewer than two points are left."""
    x, place = np.log2(dims), np.arange(len(dims))
    slopes = np.full(len(accuracy), np.nan)
    for seed, own in enumerate(accuracy):
        is_used = (place >= start[seed]) & np.isfinite(own)
        if is_used.sum() > 1:
            slopes[seed] = np.polyfit(x[is_used], own[is_used], 1)[0]
    return slopes
