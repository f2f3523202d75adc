"""The evidence lower bound with a weight on the total correlation, estimated from the posteriors of the batch."""

import math

from torch import Tensor
from torch.distributions import Distribution, Normal

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.randomness import Noise
from models.settings import TrialSettings


class BetaTotalCorrelation(WeightedElbo):
    """The loss rate + distortion + (beta - 1) TC: of the rate's parts, the total correlation alone weighs beta.

    For Gaussian latents: the estimate needs the density of the samples, and the relaxed samples of a spike have none
    under the posterior that the rate is of. `factor_vsc` weighs the total correlation of those.

    Source: Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders (NeurIPS 2018), equation 4.
    """

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate, distortion and total correlation, from one sample for each image."""
        elbo, q, z = model.compute_elbo_and_codes(x, noise, at)
        return Terms(*elbo, {"total_correlation": estimate_total_correlation(q, z)})

    def loss(self, terms: Terms) -> Tensor:
        """Compute it, summed over the batch."""
        return (terms.rate + terms.distortion + (self.beta - 1) * terms.added["total_correlation"]).sum()


def estimate_total_correlation(q: Distribution, z: Tensor) -> Tensor:  # (B, D) -> (B,)
    """Estimate log q(z) - sum_j log q(z_j) at a sample of each posterior, nats, q(z) being the batch's mean posterior.

    The mean over samples estimates KL(q(z) || prod_j q(z_j)). Minibatch-weighted sampling (Chen et al., appendix C.1)
    takes the batch for all N training images, which adds the constant (D - 1) log N, without a gradient, left out here
    as in disentanglement_lib. The estimate depends on the size of the batch: from B images it is at most (D - 1) log B.
    """
    assert isinstance(q, Normal)
    log_q = Normal(q.loc, q.scale, validate_args=False).log_prob(z[:, None])  # (B, B, D): sample, posterior, latent
    log_num = math.log(len(z))
    log_joint = log_q.sum(-1).logsumexp(1) - log_num
    log_marginals = log_q.logsumexp(1) - log_num
    total_correlation: Tensor = log_joint - log_marginals.sum(-1)
    return total_correlation


def build(settings: TrialSettings) -> BetaTotalCorrelation:
    """Build the objective of a trial."""
    return BetaTotalCorrelation(settings.beta)
