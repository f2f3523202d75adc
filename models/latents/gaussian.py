"""Gaussian latents, as in a variational autoencoder."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from models.latents.latent import At, Encode, Latent
from models.randomness import Noise
from models.settings import TrialSettings


class GaussianLatent(Latent):
    """A Gaussian posterior under a standard normal prior.

    Source: Kingma and Welling, Auto-Encoding Variational Bayes (ICLR 2014), appendix B.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.register_buffer("one", torch.ones(latent_dim), persistent=False)

    def posterior(self, heads: Tensor) -> Normal:
        """Compute q(z|x) = N(mu, sigma^2). heads: mu and log sigma^2."""
        loc, log_var = heads.unbind(1)
        return Normal(loc, (0.5 * log_var).exp(), validate_args=False)

    def prior(self, encode: Encode) -> Normal:  # noqa: ARG002 (the prior is fixed)
        """Return p(z) = N(0, 1)."""
        assert isinstance(self.one, Tensor)
        return Normal(torch.zeros_like(self.one), self.one, validate_args=False)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:  # noqa: ARG002 (nothing to relax)
        """Draw mu + sigma eps. Without a spike, relaxed and hard samples are the same."""
        assert isinstance(q, Normal)
        return q.loc + q.scale * noise.normal(*q.loc.shape)

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:  # noqa: ARG002
        """Compute KL(q || p) in closed form."""
        return kl_divergence(q, self.prior(encode)).sum(-1)


def build(settings: TrialSettings) -> GaussianLatent:
    """Build the latent variables of a trial's model."""
    return GaussianLatent(settings.latent_dim)
