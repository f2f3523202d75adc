"""Gaussian latents behind a threshold, whose codes are sparse without gates of their own."""

from statistics import NormalDist

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from models.latents.latent import At, Encode, Latent
from models.latents.thresholded_distribution import ThresholdedGaussian
from models.randomness import Noise
from models.settings import TrialSettings


class ThresholdedLatent(Latent):
    """A thresholded Gaussian posterior under the same of N(0, 1), of one fixed threshold.

    The threshold is that at which the prior's codes are not zero with the probability alpha. Here the prior's standard
    deviation is the unit; the paper's is the root of 0.1 and its threshold 0.52, so its alpha is 0.1. In training the
    gradient passes the threshold as if there were none (straight through). The paper also has thresholds that depend on
    the image, and takes the best of 20 samples of each; neither is here.

    Source: Fallah and Rozell, Variational Sparse Coding with Learned Thresholding (ICML 2022), and their code,
    github.com/kfallah/variational-sparse-coding.
    """

    has_gates = True

    def __init__(self, latent_dim: int, *, alpha: float) -> None:
        """alpha: prior P(z != 0)."""
        super().__init__(latent_dim)
        threshold = NormalDist().inv_cdf(1 - alpha / 2)
        self.register_buffer("threshold", torch.full((latent_dim,), threshold), persistent=False)

    def posterior(self, heads: Tensor) -> ThresholdedGaussian:
        """Compute q(z|x). heads: mu and log sigma^2."""
        loc, log_var = heads.unbind(1)
        assert isinstance(self.threshold, Tensor)
        return ThresholdedGaussian(loc, (0.5 * log_var).exp(), self.threshold, validate_args=False)

    def prior(self, encode: Encode) -> ThresholdedGaussian:  # noqa: ARG002 (the prior is fixed)
        """Return p(z), the same in every latent dimension."""
        assert isinstance(self.threshold, Tensor)
        zero = torch.zeros_like(self.threshold)
        return ThresholdedGaussian(zero, zero + 1, self.threshold, validate_args=False)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        """Draw hard samples; at a training step with the gradient of the Gaussian before the threshold."""
        assert isinstance(q, ThresholdedGaussian)
        eps = noise.normal(*q.loc.shape)
        z = q.threshold_noise(eps)
        if at is None:
            return z
        base = q.loc + q.scale * eps
        return z.detach() + (base - base.detach())

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:  # noqa: ARG002
        """Compute KL(q || p) in closed form."""
        return kl_divergence(q, self.prior(encode)).sum(-1)

    def compute_base_rate(self, q: Distribution) -> Tensor:
        """Compute the KL of the Gaussians before the threshold, nats per image, (B,).

        It is no less than that of the codes. At mu = 0 q and p threshold alike, so that the codes tell less than what
        they are made from. A mu other than 0 adds mu^2 / 2 here and, to the codes' KL, half of gamma mu^2 +
        2 lambda (E|mu + d| - E|d|), d being what lies beyond the threshold: its density is at most phi(t) / sigma,
        t = lambda / sigma, so the difference is at most mu^2 phi(t) / sigma, and 2 t phi(t) <= 1 - gamma.
        """
        assert isinstance(q, ThresholdedGaussian)
        zero = torch.zeros_like(q.loc)
        base, prior = (Normal(*at, validate_args=False) for at in ((q.loc, q.scale), (zero, zero + 1)))
        return kl_divergence(base, prior).sum(-1)

    def slab_prob(self, q: Distribution) -> Tensor:
        """Return the probability that the noise exceeds the threshold."""
        assert isinstance(q, ThresholdedGaussian)
        return q.slab_prob

    def views(self, q: Distribution) -> dict[str, Tensor]:
        """Return mu, the mean before the threshold, and gamma mu, the posterior's mean."""
        assert isinstance(q, ThresholdedGaussian)
        return {"mu": q.loc, "gamma_mu": q.mean}


def build(settings: TrialSettings) -> ThresholdedLatent:
    """Build the latent variables of a trial's model."""
    assert settings.alpha is not None
    return ThresholdedLatent(settings.latent_dim, alpha=settings.alpha)
