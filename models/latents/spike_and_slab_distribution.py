"""The spike-and-slab distribution: a point mass at zero beside a Gaussian."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.distributions.utils import broadcast_all

Shape = torch.Size | list[int] | tuple[int, ...]


class SpikeAndSlab(Distribution):
    r"""Zero with probability :math:`1 - \gamma`, else a draw from a normal distribution.

    .. math:: p(z) = \gamma\, \mathcal N(z; \mu, \sigma^2) + (1 - \gamma)\, \delta(z)

    Args:
        slab_prob: :math:`\gamma = P(z \ne 0)`, in [0, 1]. One gives the normal distribution, zero the spike.
        loc: :math:`\mu`, mean of the slab.
        scale: :math:`\sigma`, standard deviation of the slab.
        log_probs: :math:`\log \gamma` and :math:`\log(1 - \gamma)`, finite, of the batch shape, where they are known
            better than from a rounded :math:`\gamma`.

    The first three broadcast to the batch shape; the event shape is empty.

    Source: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), equations 4 to 9.

    >>> q = SpikeAndSlab(torch.tensor(0.5), torch.tensor(2.0), torch.tensor(1.0))
    >>> q.mean.item(), q.variance.item()
    (1.0, 1.5)
    """

    arg_constraints = {  # noqa: RUF012 (torch declares it so)
        "slab_prob": constraints.unit_interval,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real

    def __init__(
        self,
        slab_prob: Tensor,
        loc: Tensor,
        scale: Tensor,
        *,
        log_probs: tuple[Tensor, Tensor] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.slab_prob, self.loc, self.scale = broadcast_all(slab_prob, loc, scale)
        self._log_probs = log_probs
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def log_probs(self) -> tuple[Tensor, Tensor]:
        """Log gamma and log(1 - gamma), of the batch shape, finite: of 0 that of the smallest normal number.

        So 0 times its logarithm is 0, as in the limit, and no gradient is NaN.
        """
        if self._log_probs is not None:
            return self._log_probs
        smallest = torch.finfo(self.slab_prob.dtype).tiny
        is_below_one = self.slab_prob < 1
        log_spike = torch.log1p(-self.slab_prob.where(is_below_one, 0.0)).where(is_below_one, math.log(smallest))
        return self.slab_prob.clamp_min(smallest).log(), log_spike

    @property
    def mean(self) -> Tensor:
        """E[z], of the batch shape."""
        return self.slab_prob * self.loc

    @property
    def variance(self) -> Tensor:
        """Var[z], of the batch shape: gamma sigma^2 + gamma (1 - gamma) mu^2."""
        return self.slab_prob * (self.scale.square() + (1 - self.slab_prob) * self.loc.square())

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "SpikeAndSlab":
        """Return the same distribution over a larger batch shape."""
        logs = self._log_probs
        return SpikeAndSlab(
            self.slab_prob.expand(batch_shape),
            self.loc.expand(batch_shape),
            self.scale.expand(batch_shape),
            log_probs=None if logs is None else (logs[0].expand(batch_shape), logs[1].expand(batch_shape)),
            validate_args=self._validate_args,
        )

    def sample(self, sample_shape: Shape = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw hard samples: exact zeros with probability 1 - gamma. Shape: sample_shape + batch_shape."""
        shape = self._extended_shape(torch.Size(sample_shape))
        like: Any = {"generator": generator, "dtype": self.loc.dtype, "device": self.loc.device}
        with torch.no_grad():
            return self.open_gates(torch.randn(shape, **like), torch.rand(shape, **like))

    def open_gates(self, eps: Tensor, eta: Tensor) -> Tensor:
        """Compute hard samples from noise: mu + sigma eps where eta >= 1 - gamma, exactly zero elsewhere.

        eps: standard normal. eta: uniform in [0, 1), so that gamma = 1 keeps every entry and gamma = 0 none. A draw of
        the slab that rounds to zero is moved to the smallest normal number: zero says that the gate is closed.
        """
        slab = self.loc + self.scale * eps
        slab = slab.masked_fill(slab == 0, torch.finfo(slab.dtype).tiny)
        return torch.where(eta >= 1 - self.slab_prob, slab, 0.0)

    def relax_gates(self, eta: Tensor, sharpness: float | Tensor) -> Tensor:
        """Compute the gates of relaxed samples, from 0 to 1: sigmoid(c (eta - 1 + gamma)), c the sharpness.

        They tend to hard gates as c grows; at a finite c no gate is exactly zero.
        """
        return torch.sigmoid(sharpness * (eta - 1 + self.slab_prob))

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density, relative to Lebesgue measure plus a unit mass at zero.

        It is log(1 - gamma) where the value is exactly zero, log gamma + log N(value; mu, sigma^2) elsewhere.
        """
        if self._validate_args:
            self._validate_sample(value)
        log_gamma, log_spike = self.log_probs
        standardised = (value - self.loc) / self.scale
        log_slab = -0.5 * standardised.square() - self.scale.log() - 0.5 * math.log(2 * math.pi)
        return torch.where(value == 0, log_spike, log_gamma + log_slab)


@register_kl(SpikeAndSlab, SpikeAndSlab)  # type: ignore[untyped-decorator]
def _kl_spike_and_slab(q: SpikeAndSlab, p: SpikeAndSlab) -> Tensor:
    return compute_kl(q, p)


def compute_kl(q: SpikeAndSlab, p: SpikeAndSlab, *, clamp: float | None = None) -> Tensor:
    """Compute KL(q || p), elementwise: a Bernoulli KL plus gamma times the Gaussian KL of the slabs.

    clamp: the reproduction's way, of a gamma that is everywhere clamped to this distance from 0 and 1; unclamped (0), a
    gamma of 0 or 1 gives NaN. None: the KL itself, from the distributions' own logarithms, finite everywhere.

    Source: Variational Sparse Coding, equation 11 (there for a standard normal slab in p).
    """
    log_alpha, log_no_alpha = p.log_probs
    if clamp is None:
        gamma, (log_gamma, log_spike) = q.slab_prob, q.log_probs
        spike_prob = log_spike.exp()  # 1 - gamma is rounded where gamma is nearly 1
    else:
        gamma = q.slab_prob.clamp(clamp, 1 - clamp)
        spike_prob, log_gamma, log_spike = 1 - gamma, gamma.log(), torch.log1p(-gamma)
    ratio = q.scale / p.scale
    # Not 0.5 log(ratio^2): the square of a legal scale can be too small for a float.
    gaussian = 0.5 * (((q.loc - p.loc) / p.scale).square() + ratio.square() - 1) - ratio.log()
    bernoulli = gamma * (log_gamma - log_alpha) + spike_prob * (log_spike - log_no_alpha)
    return gamma * gaussian + bernoulli
