"""Does the sparsity of codes follow the prior's alpha?"""

import numpy as np

from analysis.claims.curves import Curve, compare_at, describe_missing, name_at, pick, trace_curves, union_of_dims
from analysis.claims.quantity import Quantity, Sample, UndecidableError, limits_of_difference
from analysis.metrics import metric_of
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
    part, unit, alphas = name_at("VSC", dim), "(slope of the logarithms)", tuple(curve.alpha for curve in curves)
    fractions = np.hstack([curve.values for curve in curves])  # (S, number of alphas)
    lacks = describe_missing(*curves)
    if len(curves) < 2 or (fractions <= 0).any():
        lacks = lacks or ("a second alpha" if len(curves) < 2 else "latents that are not zero")
        return Sample(part, unit, np.full(len(fractions), np.nan), latent_dim=dim, alphas=alphas, lacks=lacks)
    x = np.log([curve.alpha for curve in curves])
    x = x - x.mean()
    return Sample(part, unit, np.log(fractions) @ x / (x @ x), latent_dim=dim, alphas=alphas, lacks=lacks)


class SmallestOverLargestAlpha(Quantity):
    """A metric of the VSC with the smallest alpha less that with the largest: a part for each latent dimension."""

    metric: str

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = pick(trace_curves(tables.trials, self.metric), "vsc")
        smallest, largest = (choose(curves, key=lambda curve: curve.alpha) for choose in (min, max))
        if smallest is largest:
            raise UndecidableError("the study has a single alpha")
        part, unit = f"{smallest.name}, less {largest.name},", metric_of(self.metric).unit_or_whole
        alphas, limits = (smallest.alpha, largest.alpha), limits_of_difference(metric_of(self.metric).limits)
        return [
            compare_at(part, unit, smallest, largest, dim, alphas=alphas, limits=limits)
            for dim in union_of_dims([smallest, largest])
        ]
