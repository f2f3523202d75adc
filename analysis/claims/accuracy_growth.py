"""Does the VSC's accuracy grow with the latent dimension where the VAE's no longer does?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from analysis.claims.accuracy_past_best import find_level, join_parts, trace_both
from analysis.claims.curves import Curve, describe_missing
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables
from analysis.wording import POINTS, decimal

UNIT = f"{POINTS} per doubling"


class AccuracyGrowth(Quantity):
    """Slope of the accuracy against log2 of the latent dimension, by seed (percentage points per doubling).

    Two parts: the VSC's slope, and by how much it exceeds the VAE's, paired by seed. Slopes are taken from where the
    VAE's accuracy levels off (`find_level`): over all latent dimensions, both grow, since the smallest are too small
    for either, and that is not what the report means. How high the VSC comes is another claim; the note says it.
    Where the VAE levels off is read off the same accuracies, chance included: with five latent dimensions its slope
    from there is too low by a fifth to a third of the spread between seeds, which favours the second part.
    alpha: of the VSC, the first of these that the study has.
    """

    under: Probe
    alpha: tuple[float, ...] = Field(strict=False, min_length=1)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        start = find_level(vae)
        of_vae, of_vsc = (_fit_slopes(vae.dims[start:], curve.values[:, start:]) for curve in (vae, vsc))
        lacks = describe_missing(*map(forgive_left_out, (vae, vsc)))
        note = join_parts(
            [f"from {vae.dims[start]} on", _describe_end(vae, vsc), self.under.describe_dead(tables.trials, vae, vsc)]
        )
        return [
            Sample(f"{vsc.name}: slope", UNIT, of_vsc, lacks, note),
            Sample(f"{vsc.name}: slope less the VAE's", UNIT, of_vsc - of_vae, lacks, note),
        ]


def _describe_end(vae: Curve, vsc: Curve) -> str:
    """Describe the mean accuracy of both at the largest latent dimension."""
    ends = [curve.values[:, -1][np.isfinite(curve.values[:, -1])] for curve in (vsc, vae)]
    if not all(len(end) for end in ends):
        return ""
    vsc_end, vae_end = (decimal(end.mean()) for end in ends)
    return f"at {vae.dims[-1]} the VSC has {vsc_end}%, the VAE {vae_end}%"


def _fit_slopes(dims: Sequence[int], accuracy: NDArray[np.float64]) -> NDArray[np.float64]:  # (D,), (S, D) -> (S,)
    """Least-squares slope per doubling for each seed; NaN where it has fewer than two points."""
    x = np.log2(dims)
    slopes = np.full(len(accuracy), np.nan)
    for seed, values in enumerate(accuracy):
        is_used = np.isfinite(values)
        if is_used.sum() > 1:
            slopes[seed] = np.polyfit(x[is_used], values[is_used], 1)[0]
    return slopes
