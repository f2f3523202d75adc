"""Does a bound improve up to an optimal latent dimension, and then worsen slowly?"""

from typing import Annotated

from pydantic import Field

from analysis.claims.curves import Curve, describe_missing, pick_dims, trace_curves
from analysis.claims.quantity import Quantity, Sample
from analysis.metrics import metric_of
from analysis.tables import Tables

Three = Annotated[tuple[int, int, int], Field(strict=False)]


class Optimum(Quantity):
    """Three parts for each model and alpha, all above zero where the claim holds.

    - By how much the bound at a middle latent dimension exceeds that at a small one, and that at a large one.
    - By how much the rise from the small one is steeper than the fall to the large one (per latent).

    The middle one is named beforehand: chosen by the numbers it is then judged by, it looks better than it is.

    at: small, middle and large latent dimension, the first of these triples that the study has.
    """

    metric: str  # higher is better
    at: Annotated[tuple[Three, ...], Field(strict=False, min_length=1)]

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = trace_curves(tables.trials, self.metric)
        dims = pick_dims(curves, self.at)
        return [sample for curve in curves for sample in self._measure_one(curve.at(dims))]

    def _measure_one(self, curve: Curve) -> list[Sample]:
        unit, alphas, lacks = metric_of(self.metric).unit_or_whole, (curve.alpha,), describe_missing(curve)
        small, middle, large = curve.values.T
        at_small, at_middle, at_large = curve.dims
        rise, fall = (middle - small) / (at_middle - at_small), (middle - large) / (at_large - at_middle)
        return [
            Sample(f"{curve.name}: {at_middle} over {at_small}", unit, middle, small, alphas=alphas, lacks=lacks),
            Sample(f"{curve.name}: {at_middle} over {at_large}", unit, middle, large, alphas=alphas, lacks=lacks),
            Sample(f"{curve.name}: rise less fall", f"{unit} per latent", rise - fall, alphas=alphas, lacks=lacks),
        ]
