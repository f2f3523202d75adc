"""How much more accurate is one probe than another on the same codes?"""

from analysis.claims.accuracy_past_best import join_parts
from analysis.claims.curves import Curve, mean_of_rows, say_missing
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

    def _compare(self, tables: Tables, own: Curve, other: Curve) -> Sample:
        return Sample(
            own.name,
            POINTS,
            mean_of_rows(own.values - other.values),
            say_missing(*map(forgive_left_out, (own, other))),
            join_parts([probe.say_dead(tables.trials, own) for probe in (self.under, self.less_under)]),
        )
