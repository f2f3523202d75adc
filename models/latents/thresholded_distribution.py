"""A Gaussian whose deviation from its mean is thresholded: exactly zero where that is small."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.special import log_ndtr, ndtr

from models.latents.spike_and_slab_distribution import Shape

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class ThresholdedGaussian(Distribution):
    r"""Zero where a Gaussian deviates from its mean by a threshold at most, else the mean and what lies beyond.

    .. math:: z = 0 \text{ if } |n| \le \lambda, \text{ else } \mu + \text{sign}(n) (|n| - \lambda),
        \quad n \sim \mathcal N(0, \sigma^2)

    So :math:`P(z \ne 0) = 2 \Phi(-\lambda / \sigma)`, whatever the mean.

    Args:
        loc: :math:`\mu`. scale: :math:`\sigma`. threshold: :math:`\lambda`, above 0. They broadcast to the batch shape;
            the event shape is empty.

    Source: Fallah and Rozell, Variational Sparse Coding with Learned Thresholding (ICML 2022).
    """

    arg_constraints = {  # noqa: RUF012 (torch declares it so)
        "loc": constraints.real,
        "scale": constraints.positive,
        "threshold": constraints.positive,
    }
    support = constraints.real

    def __init__(self, loc: Tensor, scale: Tensor, threshold: Tensor, *, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.threshold = broadcast_all(loc, scale, threshold)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def slab_prob(self) -> Tensor:
        """P(z != 0), of the batch shape."""
        return 2 * _exceed(self.threshold / self.scale)

    @property
    def log_probs(self) -> tuple[Tensor, Tensor]:
        """Log P(z != 0) and log P(z = 0), of the batch shape."""
        t = self.threshold / self.scale
        # 1 - P(z != 0) is rounded where that is nearly 1, and the error function is where it is nearly 0.
        log_spike = torch.where(t > 1, torch.log1p(-self.slab_prob), (t / math.sqrt(2)).erf().log())
        return math.log(2) + log_ndtr(-t), log_spike

    @property
    def mean(self) -> Tensor:
        """E[z], of the batch shape: the deviation is as probable to either side."""
        return self.slab_prob * self.loc

    @property
    def variance(self) -> Tensor:
        """Var[z], of the batch shape."""
        gamma = self.slab_prob
        return gamma * (1 - gamma) * self.loc.square() + self.compute_square_beyond()

    def compute_square_beyond(self) -> Tensor:
        """E[d^2; z != 0], of the batch shape, d being what lies beyond the threshold."""
        t = self.threshold / self.scale
        beyond = self.scale.square() * ((1 + t.square()) * _exceed(t) - t * _density(t))
        return 2 * beyond.clamp_min(0.0)  # a difference of nearly equal numbers where t is large

    def compute_distance_beyond(self, point: Tensor) -> Tensor:
        """E[|z - point|; z != 0], of the batch shape."""
        distance = (self.loc - point).abs()
        t, u = (reach / self.scale for reach in (self.threshold, self.threshold + distance))
        within = distance * (_exceed(t) - _exceed(u))
        return 2 * (within + self.scale * _density(u) - self.threshold * _exceed(u))

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "ThresholdedGaussian":
        """Return the same distribution over a larger batch shape."""
        parameters = (part.expand(batch_shape) for part in (self.loc, self.scale, self.threshold))
        return ThresholdedGaussian(*parameters, validate_args=self._validate_args)

    def threshold_noise(self, eps: Tensor) -> Tensor:
        """Turn standard normal noise into hard samples, with exact zeros.

        A draw beyond the threshold that rounds to zero is moved to the smallest normal number, so that zero says what
        it means.
        """
        noise = self.scale * eps
        beyond = self.loc + noise.sign() * (noise.abs() - self.threshold)
        beyond = beyond.masked_fill(beyond == 0, torch.finfo(beyond.dtype).tiny)
        return torch.where(noise.abs() > self.threshold, beyond, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density, relative to Lebesgue measure plus a unit mass at zero."""
        deviation = ((value - self.loc).abs() + self.threshold) / self.scale
        log_beyond = -0.5 * deviation.square() - self.scale.log() - HALF_LOG_2_PI
        return torch.where(value == 0, self.log_probs[1], log_beyond)


def _exceed(t: Tensor) -> Tensor:
    """The probability that a standard normal number exceeds t."""
    tail: Tensor = ndtr(-t)
    return tail


def _density(t: Tensor) -> Tensor:
    """The standard normal density."""
    return (-0.5 * t.square() - HALF_LOG_2_PI).exp()


@register_kl(ThresholdedGaussian, ThresholdedGaussian)  # type: ignore[untyped-decorator]
def compute_kl(q: ThresholdedGaussian, p: ThresholdedGaussian) -> Tensor:
    """Compute KL(q || p), elementwise, in closed form.

    Beyond the threshold log q(z) = log N(|d| + lambda; 0, sigma^2), d = z - mu, and log p(z) likewise with p's own; the
    expectations over q of d^2, |z - mu_p| and of the squared noise are those of a truncated Gaussian.
    """
    gamma, log_spike = q.slab_prob, q.log_probs[1]
    t = q.threshold / q.scale
    of_q = _exceed(t) + t * _density(t)  # half of E[(n / sigma)^2; z != 0]
    squares = gamma * (q.loc - p.loc).square() + q.compute_square_beyond()
    squares = squares + 2 * p.threshold * q.compute_distance_beyond(p.loc) + gamma * p.threshold.square()
    beyond = gamma * (p.scale.log() - q.scale.log()) - of_q + 0.5 * squares / p.scale.square()
    return beyond + log_spike.exp() * (log_spike - p.log_probs[1])
