"""By how much does the VAE exceed the VSC?"""

from analysis.claims.curves import compare_at, pick, trace_curves, union_of_dims
from analysis.claims.quantity import Quantity, Sample
from analysis.metrics import metric_of
from analysis.tables import Tables


class VaeOverVsc(Quantity):
    """The VAE's metric less the VSC's: a part for each alpha and latent dimension of either."""

    metric: str

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        curves = trace_curves(tables.trials, self.metric)
        dims, vae = union_of_dims(curves), pick(curves, "vae")[0]
        unit = metric_of(self.metric).unit_or_whole
        return [
            compare_at(f"{vae.name} less {vsc.name},", unit, vae, vsc, dim, alphas=(vsc.alpha,))
            for vsc in pick(curves, "vsc")
            for dim in dims
        ]
