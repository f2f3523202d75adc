"""Does a bound improve up to an optimal latent dimension, and then worsen slowly?"""

import numpy as np
from numpy.typing import NDArray

from analysis.claims.curves import (
    Curve,
    describe_missing,
    describe_too_few,
    find_best_of_others,
    format_best,
    trace_curves,
)
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables
from analysis.wording import unit_or_whole

MIN_DIMS = 3  # an optimum has a side to the left and a side to the right


class Optimum(Quantity):
    """Three parts for each model and alpha, all above zero where the claim holds.

    - By how much the best of the others exceeds the smallest latent dimension, and the largest (the metric's unit).
    - By how much the rise up to the best is steeper than the fall beyond it (the metric's unit per latent).

    The best latent dimension of a seed is the best of the other seeds (`find_best_of_others`).
    """

    metric: str  # higher is better

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        return [sample for curve in trace_curves(tables.trials, self.metric) for sample in self._measure_one(curve)]

    def _measure_one(self, curve: Curve) -> list[Sample]:
        values, unit = curve.values[~np.isnan(curve.values).any(axis=1)], unit_or_whole(self.metric)
        if not len(values) or len(curve.dims) < MIN_DIMS:
            lacks = describe_missing(curve) or f"{curve.name} at {MIN_DIMS} latent dimensions or more"
            return [Sample(curve.name, unit, np.array([]), lacks=lacks)]
        dims, lacks = np.array(curve.dims), describe_missing(curve)
        beyond_smallest, before_largest = (_take_best(values[:, part]) for part in (slice(1, None), slice(-1)))
        best = find_best_of_others(values)
        is_inside = (best > 0) & (best < len(dims) - 1)
        up, down = (np.where(is_inside, width, np.nan) for width in (dims[best] - dims[0], dims[-1] - dims[best]))
        at_best = values[np.arange(len(values)), best]
        steeper = (at_best - values[:, 0]) / up - (at_best - values[:, -1]) / down
        no_inside = describe_too_few(is_inside, "a best latent dimension between the smallest and the largest")
        note = f"best at {format_best(curve.dims, best)}"
        return [
            Sample(
                f"{curve.name}: best of the others over {dims[0]}", unit, beyond_smallest - values[:, 0], lacks, note
            ),
            Sample(
                f"{curve.name}: best of the others over {dims[-1]}", unit, before_largest - values[:, -1], lacks, note
            ),
            Sample(f"{curve.name}: rise less fall", f"{unit} per latent", steeper, lacks or no_inside, note),
        ]


def _take_best(values: NDArray[np.float64]) -> NDArray[np.float64]:  # (S, D) -> (S,)
    """The value of each seed at the latent dimension that is best in the other seeds."""
    return np.asarray(values[np.arange(len(values)), find_best_of_others(values)])
