"""Are sparse codes more disentangled than dense ones?"""

from typing import Literal

from analysis.claims.curves import compare_at, describe_missing, name_at, pick, trace_curves, union_of_dims
from analysis.claims.levels import select
from analysis.claims.quantity import Criterion, Quantity, Sample, UndecidableError
from analysis.tables import Tables
from analysis.tables.disentanglement import scale_score

SPARSE = Criterion("less", 0.5)
"""What the share of non-zero latents has to be for codes to be called sparse."""


class SparseOverDense(Quantity):
    """A disentanglement score of the VSC less that of the VAE, from 0 for noise codes to 1 for perfect ones.

    Floor and ceiling are those measured beside each score. A part for each alpha and latent dimension of the VSCs,
    beside the VAE with as many latents. Of each a premise: that the VSC's codes are sparse, with less than half of
    their latents non-zero.

    score: such as mig. estimator: of the VSCs.
    """

    score: str
    estimator: Literal["relaxed", "straight_through", "disarm"] = "relaxed"

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        trials = tables.trials
        scaled = scale_score(trials, self.score)
        if scaled is None:
            raise UndecidableError(f"no finished trial has a value of disentanglement/{self.score}")
        trials = trials.assign(scaled=scaled)
        sparse = select(trials, {"model": "vsc", "estimator": self.estimator})
        dense = select(trials, {"model": "vae", "beta": 1.0})
        vsc_scores, (vae, *_) = (trace_curves(rows, "scaled", of=trials) for rows in (sparse, dense))
        shares = {curve.alpha: curve for curve in trace_curves(sparse, "code/nonzero_fraction", of=trials)}
        unit, samples = "of the way from noise to perfect codes", []
        for vsc in pick(vsc_scores, "vsc"):
            share = shares[vsc.alpha]
            for dim in union_of_dims([vsc]):
                own = share.at([dim])
                samples += [
                    compare_at(f"{vsc.name} less {vae.name},", unit, vsc, vae, dim),
                    Sample(
                        f"non-zero latents of {name_at(vsc.name, dim)}",
                        "of the latents",
                        own.values[:, 0],
                        latent_dim=dim,
                        alphas=(vsc.alpha,),
                        lacks=describe_missing(own),
                        limits=(0.0, 1.0),
                        criterion=SPARSE,
                        is_premise=True,
                    ),
                ]
        return samples
