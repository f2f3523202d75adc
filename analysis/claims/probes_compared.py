"""How much more accurate is one probe than another on the same codes?"""

from analysis.claims.accuracy_past_best import join_parts
from analysis.claims.curves import Curve, describe_missing, mean_of_rows
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables
from analysis.wording import POINTS


class ProbeOverProbe(Quantity):
    """One probe's accuracy less another's on the same trial, the mean over latent dimensions (percentage points).

    A part for each model and alpha.
    """

    under: Probe
    less_under: Probe

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = (probe.trace_accuracy(tables.trials) for probe in (self.under, self.less_under))
        return [self._compare(tables, *both) for both in zip(*curves, strict=True)]

    def _compare(self, tables: Tables, curve: Curve, other: Curve) -> Sample:
        return Sample(
            curve.name,
            POINTS,
            mean_of_rows(curve.values - other.values),
            describe_missing(*map(forgive_left_out, (curve, other))),
            join_parts([probe.describe_dead(tables.trials, curve) for probe in (self.under, self.less_under)]),
        )
