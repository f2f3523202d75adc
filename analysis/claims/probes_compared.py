"""How much more accurate is one probe than another on the same codes?"""

from analysis.claims.curves import say_missing
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables


class ProbeOverProbe(Quantity):
    """One probe's accuracy less another's on the same trial, the mean over latent dimensions (percentage points).

    A part for each model and alpha.
    """

    under: Probe
    less_under: Probe

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        own, other = (probe.trace_accuracy(tables.trials) for probe in (self.under, self.less_under))
        notes = [probe.say_dead(tables.trials) for probe in (self.under, self.less_under)]
        return [
            Sample(
                a.name,
                "points",
                (a.values - b.values).mean(axis=1),
                lacks=say_missing(forgive_left_out(a), forgive_left_out(b)),
                note="; ".join(note for note in notes if note),
            )
            for a, b in zip(own, other, strict=True)
        ]
