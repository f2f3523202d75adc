"""A latent, a network and a dataset of one's own: what laplace.yaml, beside this file, names under `plugins`."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Laplace, kl_divergence

from harness.plugins import Registry, setting
from models.choices import ImageShape
from models.latents.latent import At, Encode, Latent
from models.randomness import Noise
from models.settings import TrialSettings


class LaplaceSettings:
    """The settings that `model: laplace` has besides those of every model."""

    scale: float = setting(1.0, meaning="scale of the Laplace prior", at_least=0.01, at_most=100)


class LaplaceLatent(Latent):
    """A Laplace posterior under a Laplace prior, of density exp(-|z| / scale) / (2 scale)."""

    def __init__(self, latent_dim: int, scale: float) -> None:
        super().__init__(latent_dim)
        self.register_buffer("scale", torch.full((latent_dim,), scale), persistent=False)

    def posterior(self, heads: Tensor) -> Distribution:
        loc, log_scale = heads.unbind(1)
        return Laplace(loc, log_scale.exp(), validate_args=False)

    def prior(self, encode: Encode) -> Distribution:
        return Laplace(torch.zeros_like(self.scale), self.scale, validate_args=False)

    def draw(self, q: Distribution, noise: Noise, at: At | None = None) -> Tensor:
        centred = noise.uniform(*q.loc.shape).clamp(1e-6, 1 - 1e-6) - 0.5
        return q.loc - q.scale * centred.sign() * torch.log1p(-2 * centred.abs())

    def rate(self, q: Distribution, x: Tensor, encode: Encode, at: At | None = None) -> Tensor:
        return kl_divergence(q, self.prior(encode)).sum(-1)


class Encoder(nn.Module):
    """A hidden layer beside a linear path."""

    def __init__(self, num_pixels: int, width: int, num_heads: int, latent_dim: int) -> None:
        super().__init__()
        self.shape = num_heads, latent_dim
        self.hidden = nn.Sequential(nn.Linear(num_pixels, width), nn.GELU(), nn.Linear(width, num_heads * latent_dim))
        self.skip = nn.Linear(num_pixels, num_heads * latent_dim)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, num_heads, latent_dim)
        pixels = x.flatten(1)
        return (self.hidden(pixels) + self.skip(pixels)).view(-1, *self.shape)


class Decoder(nn.Module):
    """The same the other way round."""

    def __init__(self, latent_dim: int, width: int, image_shape: ImageShape) -> None:
        super().__init__()
        num_pixels = int(np.prod(image_shape))
        self.image_shape = image_shape
        self.hidden = nn.Sequential(nn.Linear(latent_dim, width), nn.GELU(), nn.Linear(width, num_pixels))
        self.skip = nn.Linear(latent_dim, num_pixels)

    def forward(self, z: Tensor) -> Tensor:  # (..., latent_dim) -> (..., C, H, W)
        return (self.hidden(z) + self.skip(z)).view(*z.shape[:-1], *self.image_shape)


def build_residual(
    settings: TrialSettings, image_shape: ImageShape, generator: torch.Generator | None
) -> tuple[nn.Module, nn.Module]:
    """The layers draw their parameters by themselves, which the harness seeds with the trial's seed."""
    num_pixels, width = int(np.prod(image_shape)), settings.hidden[0]
    return (
        Encoder(num_pixels, width, settings.parts.num_heads, settings.latent_dim),
        Decoder(settings.latent_dim, width, image_shape),
    )


def load_stripes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of 8 x 8 pixels with one bright row (label 0) or column (label 1), the same each time."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600, dtype=np.uint8)
    images = rng.integers(0, 64, (600, 1, 8, 8), dtype=np.uint8)
    places = rng.integers(0, 8, 600)
    for image, label, place in zip(images[:, 0], labels, places, strict=True):
        (image.T if label else image)[place] = 255
    factors = np.stack([labels, places], 1)  # what each image was made from, which scores of disentanglement need
    return images[:500], labels[:500], images[500:], labels[500:], factors[:500]


def register(registry: Registry) -> None:
    """Called once by every process that trains; on a cluster, this file's content is sent along."""
    registry.add_model(
        "laplace",
        latent=lambda settings: LaplaceLatent(settings.latent_dim, settings.scale),
        num_heads=2,
        settings=LaplaceSettings,
    )
    registry.add_network("residual", build_residual)
    registry.add_dataset("stripes", load_stripes, factors=("orientation", "place"))
