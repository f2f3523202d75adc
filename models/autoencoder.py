"""What every model of the family shares: from an image to the two terms of its bound."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from models.pixels import to_pixels
from models.settings import PixelScaling


class Elbo(NamedTuple):
    """The two terms of the evidence lower bound, each (...,) nats per image: ELBO = -(rate + distortion)."""

    rate: Tensor  # KL(q(z|x) || p(z))
    distortion: Tensor  # -E_q log p(x|z), estimated from samples


class Autoencoder(nn.Module, ABC):
    """A variational autoencoder with a Bernoulli likelihood over pixels in [0, 1].

    Pixels between 0 and 1 are treated as the report treats them: the cross-entropy stands for -log p(x|z).
    """

    encoder: nn.Module
    decoder: nn.Module
    latent_dim: int
    pixel_scaling: PixelScaling = "minmax"

    @abstractmethod
    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) for images x (B, pixels); its batch shape is (B, latent_dim)."""

    @abstractmethod
    def prior(self) -> Distribution:
        """p(z), of batch shape (latent_dim,)."""

    @abstractmethod
    def draw(
        self,
        q: Distribution,
        generator: torch.Generator,
        *,
        sharpness: float | None = None,
        sample_shape: tuple[int, ...] = (),
    ) -> Tensor:
        """Samples of q, (*sample_shape, B, latent_dim); relaxed at a sharpness, hard (exact zeros) without one."""

    @abstractmethod
    def slab_prob(self, q: Distribution) -> Tensor:
        """P(z != 0 | x), (B, latent_dim)."""

    def compute_rate(self, q: Distribution) -> Tensor:
        """KL(q || p) in nats per image, (B,), as it stands in the training objective."""
        return kl_divergence(q, self.prior()).sum(-1)

    def to_pixels(self, images: Tensor) -> Tensor:  # (..., pixels) uint8 -> (..., pixels) float32
        """Images as the model sees them, in [0, 1]."""
        return to_pixels(images, self.pixel_scaling)

    def compute_distortion(self, z: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) in nats per image, (..., B), for codes z (..., B, latent_dim) and images x (B, pixels)."""
        logits = self.decoder(z)
        nats: Tensor = binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return nats.sum(-1)

    def compute_elbo(
        self,
        x: Tensor,  # (B, pixels)
        generator: torch.Generator,
        *,
        sharpness: float | None = None,
    ) -> Elbo:
        """Rate (closed form) and distortion (one sample per image), each (B,): what training minimises."""
        q = self.posterior(x)
        z = self.draw(q, generator, sharpness=sharpness)
        return Elbo(self.compute_rate(q), self.compute_distortion(z, x))
