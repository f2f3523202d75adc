"""Spike-and-slab latents, as in Variational Sparse Coding (VSC)."""

import math
from typing import Any, assert_never

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from models.choices import Estimator, GammaLink, KlFrom
from models.latents.latent import At, Decode, Encode, Latent
from models.latents.spike_and_slab_distribution import SpikeAndSlab, compute_kl
from models.randomness import Noise
from models.setting import MIN_PROB
from models.settings import TrialSettings

LOG_2 = math.log(2)


class SpikeAndSlabLatent(Latent):
    """A spike-and-slab posterior under a spike-and-slab prior, p(z) = alpha N(0, 1) + (1 - alpha) delta(0).

    Source: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), equations 4 to 11.
    """

    has_gates = True

    def __init__(
        self,
        latent_dim: int,
        *,
        alpha: float,
        gamma_link: GammaLink,
        gamma_clamp: float = MIN_PROB,
        kl_from: KlFrom = "gamma",
        estimator: Estimator = "relaxed",
    ) -> None:
        """alpha: prior P(z != 0).

        gamma_clamp: least distance of gamma from 0 and 1 in the objective's rate. kl_from: whether its logarithms are
        of that gamma, or computed from the encoder's output, and nothing is clamped. estimator: how the gradient of the
        distortion passes the gates.
        """
        super().__init__(latent_dim)
        self.gamma_link = gamma_link
        self.gamma_clamp = gamma_clamp
        self.kl_from = kl_from
        self.estimator = estimator
        self.register_buffer("alpha", torch.full((latent_dim,), alpha), persistent=False)

    def posterior(self, heads: Tensor) -> SpikeAndSlab:
        """Compute q(z|x). heads: mu, log sigma^2 and v, with gamma = exp(-relu(-v)) or sigmoid(v).

        exp(-relu(-v)), from the code of "[Re] Variational Sparse Coding", reaches exactly 1.
        """
        loc, log_var, v = heads.unbind(1)
        gamma, log_probs = compute_gamma(v, self.gamma_link), compute_log_probs(v, self.gamma_link)
        return SpikeAndSlab(gamma, loc, (0.5 * log_var).exp(), log_probs=log_probs, validate_args=False)

    def prior(self, encode: Encode) -> Distribution:  # noqa: ARG002 (the prior is fixed)
        """Return p(z), the same in every latent dimension."""
        assert isinstance(self.alpha, Tensor)
        return SpikeAndSlab(self.alpha, torch.zeros_like(self.alpha), torch.ones_like(self.alpha), validate_args=False)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        """Draw samples: hard, with exact zeros, if `at` is None; at a training step with the estimator's gates."""
        assert isinstance(q, SpikeAndSlab)
        eps, eta = noise.normal(*q.loc.shape), noise.uniform(*q.loc.shape)
        if at is None or self.estimator == "disarm":
            return q.open_gates(eps, eta)
        gates = q.relax_gates(eta, at.sharpness)
        match self.estimator:
            case "relaxed":
                pass
            case "straight_through":
                gates = gates + ((eta >= 1 - q.slab_prob).to(gates.dtype) - gates).detach()
            case _:
                assert_never(self.estimator)
        return gates * (q.loc + q.scale * eps)

    def estimate_distortion(self, q: Distribution, compute_nats: Decode, noise: Noise, at: At | None) -> Tensor:
        """Estimate it from one sample; by DisARM from two with antithetic gates, each open with probability gamma.

        Source: Dong, Mnih and Tucker, DisARM: An Antithetic Gradient Estimator for Binary Latent Variables (NeurIPS
        2020), equation 7: the gradient by the logit of gamma, here carried on to gamma.
        """
        if at is None or self.estimator != "disarm":
            return super().estimate_distortion(q, compute_nats, noise, at)
        assert isinstance(q, SpikeAndSlab)
        eps, eta = noise.normal(*q.loc.shape), noise.uniform(*q.loc.shape)
        slab = q.loc + q.scale * eps
        first, second = eta >= 1 - q.slab_prob, eta < q.slab_prob
        nats = compute_nats(torch.stack([slab.where(gates, 0.0) for gates in (first, second)]))  # (2, B)
        gamma = q.slab_prob.detach().clamp(MIN_PROB, 1 - MIN_PROB)
        by_logit = (first != second) * torch.where(second, -0.5, 0.5) * torch.maximum(gamma, 1 - gamma)
        by_gamma = (nats[0] - nats[1]).detach()[:, None] * by_logit / (gamma * (1 - gamma))
        of_gates = (by_gamma * q.slab_prob).sum(-1)
        return nats.mean(0) + of_gates - of_gates.detach()

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:  # noqa: ARG002
        """Compute a Bernoulli KL plus gamma times a Gaussian one; in training as kl_from says."""
        prior = self.prior(encode)
        assert isinstance(q, SpikeAndSlab)
        assert isinstance(prior, SpikeAndSlab)
        return compute_kl(q, prior, clamp=self.find_clamp(at)).sum(-1)

    def find_clamp(self, at: At | None) -> float | None:
        """Return the least distance of gamma from 0 and 1 in the rate; None where it is measured or from logits."""
        if at is None:
            return None
        match self.kl_from:
            case "gamma":
                return self.gamma_clamp
            case "logits":
                return None

    def slab_prob(self, q: Distribution) -> Tensor:
        """Return the posterior's gamma."""
        assert isinstance(q, SpikeAndSlab)
        return q.slab_prob

    def views(self, q: Distribution) -> dict[str, Tensor]:
        """Return mu, the mean of the slab, and gamma mu, the posterior's mean."""
        assert isinstance(q, SpikeAndSlab)
        return {"mu": q.loc, "gamma_mu": q.mean}


def compute_gamma(v: Tensor, link: GammaLink) -> Tensor:
    """Compute gamma, of v's shape."""
    match link:
        case "exp_relu":
            return (-(-v).relu()).exp()
        case "sigmoid":
            return v.sigmoid()


def compute_log_probs(v: Tensor, link: GammaLink) -> tuple[Tensor, Tensor]:
    """Compute log gamma and log(1 - gamma), each of v's shape, finite for every finite v, and so are their gradients.

    Where exp_relu's gamma is 1, log(1 - gamma) is that of the smallest normal number of the precision: a finite number,
    so that its product with a 1 - gamma of 0 is 0, the limit. Source of both branches of log(1 - exp(x)): Maechler,
    Accurately Computing log(1 - exp(-|a|)) (2012).
    """
    match link:
        case "exp_relu":
            log_gamma = v.clamp_max(-torch.finfo(v.dtype).tiny)
            # Each branch is clamped to where it is taken: a gradient that is not finite would pass `where` as NaN.
            near_one = (-log_gamma.clamp_min(-LOG_2).expm1()).log()
            near_zero = (-log_gamma.clamp_max(-LOG_2).exp()).log1p()
            return log_gamma, torch.where(log_gamma > -LOG_2, near_one, near_zero)
        case "sigmoid":
            return logsigmoid(v), logsigmoid(-v)


def build_arguments(settings: TrialSettings) -> dict[str, Any]:
    """What a trial's settings say of spikes, by the names of SpikeAndSlabLatent's arguments."""
    return settings.pick("alpha", "gamma_link", "gamma_clamp", "kl_from", "estimator")


def build(settings: TrialSettings) -> SpikeAndSlabLatent:
    """Build the latent variables of a trial's model."""
    return SpikeAndSlabLatent(settings.latent_dim, **build_arguments(settings))
