"""How much more accurate is one probe than another on the same codes, and does that depend on the model?"""

from collections.abc import Sequence

from analysis.claims.accuracy import Alphas, trace_both
from analysis.claims.curves import Curve, compare_at, describe_missing, name_at
from analysis.claims.probe import ACCURACY_GAP, Probe, join_parts
from analysis.claims.quantity import Quantity, Sample, limits_of_difference
from analysis.tables import Tables
from analysis.wording import POINTS


class ProbeOverProbe(Quantity):
    """One probe's accuracy less another's on the same models (points): parts by model, alpha, latent_dim."""

    under: Probe
    less_under: Probe

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = (probe.trace_accuracy(tables.trials) for probe in (self.under, self.less_under))
        samples = []
        for curve, other in zip(*curves, strict=True):
            for dim in curve.dims:
                dead = _describe_dead(tables, (self.under, self.less_under), curve.at([dim]))
                samples.append(compare_at(curve.name, POINTS, curve, other, dim, note=dead, limits=ACCURACY_GAP))
        return samples


class AdvantageByProbe(Quantity):
    """The VSC's lead over the VAE under one probe less that under another (percentage points): parts by latent_dim.

    A probe's gain over the other is taken within each model, so that only models are compared: the VSC's gain less the
    VAE's, which is the same number. alpha: of the VSC, the first of these that the study has.
    """

    under: Probe
    less_under: Probe
    alpha: Alphas

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        other_vae, other_vsc = (curve.at(vae.dims) for curve in trace_both(tables, self.less_under, self.alpha))
        probes = (self.under, self.less_under)
        gains = [of.values - other.values for of, other in ((vsc, other_vsc), (vae, other_vae))]
        return [
            Sample(
                name_at(f"lead of {vsc.name}, under {self.under.words} less under {self.less_under.words},", dim),
                POINTS,
                gains[0][:, i],
                gains[1][:, i],
                dim,
                (vsc.alpha,),
                lacks=describe_missing(*(curve.at([dim]) for curve in (vae, vsc, other_vae, other_vsc))),
                note=_describe_dead(tables, probes, vae.at([dim]), vsc.at([dim])),
                limits=limits_of_difference(ACCURACY_GAP),
            )
            for i, dim in enumerate(vae.dims)
        ]


def _describe_dead(tables: Tables, probes: Sequence[Probe], *curves: Curve) -> str:
    return join_parts([probe.describe_dead(tables.trials, *curves) for probe in probes])
