"""Spike-and-slab latents: those of Variational Sparse Coding."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from models.latents.distributions import MIN_PROB, SpikeAndSlab, compute_kl
from models.latents.latent import At, Encode, Latent
from models.randomness import Noise
from models.settings import GammaLink, TrialSettings


class SpikeAndSlabLatent(Latent):
    """A spike-and-slab posterior under a spike-and-slab prior, p(z) = alpha N(0, 1) + (1 - alpha) delta(0).

    Source: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), equations 4 to 11.
    """

    def __init__(self, latent_dim: int, *, alpha: float, gamma_link: GammaLink, gamma_clamp: float = MIN_PROB) -> None:
        """alpha: prior P(z != 0). gamma_clamp: how far gamma stays from 0 and 1 in the logarithms of the objective."""
        super().__init__(latent_dim)
        self.gamma_link = gamma_link
        self.gamma_clamp = gamma_clamp
        self.register_buffer("alpha", torch.full((latent_dim,), alpha), persistent=False)

    def posterior(self, heads: Tensor) -> SpikeAndSlab:
        """q(z|x); heads: mu, log sigma^2 and v, with gamma = exp(-relu(-v)) as in the report's code, or sigmoid(v).

        The former reaches exactly 1.
        """
        loc, log_var, v = heads.unbind(1)
        gamma = (-(-v).relu()).exp() if self.gamma_link == "exp_relu" else v.sigmoid()
        return SpikeAndSlab(gamma, loc, (0.5 * log_var).exp(), validate_args=False)

    def prior(self, encode: Encode) -> SpikeAndSlab:  # noqa: ARG002 (it depends on nothing)
        """The same in every latent dimension."""
        assert isinstance(self.alpha, Tensor)
        return SpikeAndSlab(self.alpha, torch.zeros_like(self.alpha), torch.ones_like(self.alpha), validate_args=False)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        """Relaxed at the step's sharpness; without a step hard, with exact zeros."""
        assert isinstance(q, SpikeAndSlab)
        eps, eta = noise.normal(*q.loc.shape), noise.uniform(*q.loc.shape)
        return q.open_gates(eps, eta) if at is None else q.relax_gates(eps, eta, at.sharpness)

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:  # noqa: ARG002
        """A Bernoulli KL plus gamma times a Gaussian one; in training with gamma clamped as the settings say."""
        assert isinstance(q, SpikeAndSlab)
        min_prob = MIN_PROB if at is None else self.gamma_clamp
        return compute_kl(q, self.prior(encode), min_prob=min_prob).sum(-1)

    def slab_prob(self, q: Distribution) -> Tensor:
        """The posterior's gamma."""
        assert isinstance(q, SpikeAndSlab)
        return q.slab_prob

    def views(self, q: Distribution) -> dict[str, Tensor]:
        """mu of the slab, and gamma mu, the posterior's mean."""
        assert isinstance(q, SpikeAndSlab)
        return {"mu": q.loc, "gamma_mu": q.mean}


def build(settings: TrialSettings) -> SpikeAndSlabLatent:
    """The latent variables of these settings."""
    assert settings.alpha is not None
    assert settings.gamma_link is not None
    assert settings.gamma_clamp is not None
    return SpikeAndSlabLatent(
        settings.latent_dim,
        alpha=settings.alpha,
        gamma_link=settings.gamma_link,
        gamma_clamp=settings.gamma_clamp,
    )
