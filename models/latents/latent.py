"""The interface of all latent variables: posterior, prior, samples, rate."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from models.choices import ImageShape
from models.randomness import Noise

Encode = Callable[[Tensor], Tensor]
"""The encoder: images (B, C, H, W) in [0, 1] -> heads (B, H, D), H numbers for each of D latent dimensions."""

Decode = Callable[[Tensor], Tensor]
"""Decoder and likelihood: codes (..., B, D) -> nats per image (..., B)."""


class At(NamedTuple):
    """The state of the schedules at a training step. Measures have none: their samples are hard, their rate exact."""

    sharpness: Tensor  # (), of the relaxed spikes
    step: int = 0  # steps done before, over the run


class Latent(nn.Module, ABC):
    """One kind of latent variables, `latent_dim` of them side by side.

    has_gates: whether an entry of a code can be exactly zero, with the probability 1 - `slab_prob`.
    has_schedule: whether what it computes depends on `At.step`.
    """

    has_gates = False
    has_schedule = False

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def set_up(self, image_shape: ImageShape, generator: torch.Generator | None) -> None:
        """Make parameters of its own, if it has some; called once, after the network's have been drawn.

        generator: draws them; None: they stay undefined.
        """

    @abstractmethod
    def posterior(self, heads: Tensor) -> Distribution:
        """Compute q(z|x), of batch shape (B, D), from the encoder's heads (B, H, D)."""

    @abstractmethod
    def prior(self, encode: Encode) -> Distribution:
        """Return p(z), of batch shape (D,). encode: the encoder, for priors that depend on it.

        Where latents depend on each other, these are its marginals; `draw_prior` and `compute_log_ratio` know better.
        """

    @abstractmethod
    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        """Draw a sample of each element of q, of q's batch shape (..., D).

        at: the training step, whose samples are relaxed so that gradients pass. None: samples are hard.
        """

    def estimate_distortion(self, q: Distribution, compute_nats: Decode, noise: Noise, at: At | None) -> Tensor:
        """-E_q log p(x|z) in nats per image, (B,), from samples, with a gradient that estimates the expectation's.

        compute_nats: -log p(x|z) in nats per image, (..., B), of codes (..., B, D).
        """
        return compute_nats(self.draw(q, noise, at))

    @abstractmethod
    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:
        """Compute KL(q || p) in nats per image, (B,), for the posteriors q of images x (B, C, H, W).

        at: the training step, whose objective may clamp probabilities. None: the KL is exact or, where it has no
        closed form, an upper bound.
        """

    def draw_prior(self, num: int, noise: Noise, encode: Encode) -> Tensor:  # -> (num, D)
        """Draw hard samples of the prior."""
        prior = self.prior(encode)
        return self.draw(prior.expand([num, *prior.batch_shape]), noise)

    def compute_log_ratio(self, q: Distribution, z: Tensor, encode: Encode) -> Tensor:  # (..., B, D) -> (..., B)
        """Compute log p(z) - log q(z|x) of hard samples z, in nats."""
        return (self.prior(encode).log_prob(z) - q.log_prob(z)).sum(-1)

    def list_learned(self) -> dict[str, Tensor]:
        """Return the numbers of its own that training has learned so far, each (), by name; logged as train/<name>."""
        return {}

    def slab_prob(self, q: Distribution) -> Tensor:
        """Return P(z != 0 | x), of q's batch shape: one where there is no spike."""
        return torch.ones_like(q.mean)

    def views(self, q: Distribution) -> dict[str, Tensor]:
        """Return the views of q that probes are trained on besides a sample, by name, each (B, D).

        They are `mu`, the mean of the slab, and `gamma_mu`, the mean of q; without a spike only `mu`, which is both.
        """
        return {"mu": q.mean}
