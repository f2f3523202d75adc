"""Does the fraction of latents that are not zero follow the prior's alpha?"""

import numpy as np

from analysis.claims.curves import Curve, describe_missing, pick, trace_curves, union_of_dims
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables

METRIC = "code/nonzero_fraction"


class SparsityByAlpha(Quantity):
    """Slope of log(fraction of non-zero latents) against log(alpha), by seed: a part for each latent dimension.

    0: alpha has no effect on the codes. 1: the fraction is proportional to it.
    """

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = pick(trace_curves(tables.trials, METRIC), "vsc")
        return [_measure_at(dim, [curve.at([dim]) for curve in curves]) for dim in union_of_dims(curves)]


def _measure_at(dim: int, curves: list[Curve]) -> Sample:
    part, unit = f"VSC at latent dimension {dim}", "(slope of the logarithms)"
    fractions = np.hstack([curve.values for curve in curves])  # (S, number of alphas)
    lacks = describe_missing(*curves)
    if len(curves) < 2 or (fractions <= 0).any():
        lacks = lacks or ("a second alpha" if len(curves) < 2 else "latents that are not zero")
        return Sample(part, unit, np.full(len(fractions), np.nan), lacks)
    x = np.log([curve.alpha for curve in curves])
    x = x - x.mean()
    return Sample(part, unit, np.log(fractions) @ x / (x @ x), lacks)
