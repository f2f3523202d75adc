"""A trained model to work with: codes of images, pictures of codes, samples, likelihoods."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from models.autoencoder import Autoencoder
from models.choices import ImageShape
from models.measures.bounds import compute_iw_bounds
from models.numerics.computing import measuring
from models.randomness import StreamNoise, make_stream
from models.settings import TrialSettings

Images = Tensor | NDArray[np.uint8]
"""Images (N, C, H, W) of bytes, 0 is black and 255 white, as datasets hold them. A model of binary pixels was measured
on those of `models.pixels.binarise_once`."""

Codes = Tensor | NDArray[np.floating]
"""Codes (..., D), of any precision; the model computes in float32."""


@dataclass(frozen=True)
class TrainedModel:
    """A model with the settings that it was trained with, on the CPU. What it returns carries no gradients."""

    settings: TrialSettings
    image_shape: ImageShape  # channels, height, width
    epochs_trained: int
    module: Autoencoder  # the model itself, in evaluation mode

    def posterior(self, images: Images) -> Distribution:
        """Compute q(z|x), of batch shape (N, D).

        Raises:
            ValueError: the images are not bytes, or of another shape than those trained on.
        """
        with torch.no_grad(), measuring(self.module):
            return self.module.posterior(self.module.to_pixels(self._as_bytes(images)))

    def encode(self, images: Images) -> Tensor:  # -> (N, D) float32
        """Compute the codes of images: the means of their posteriors."""
        return self.posterior(images).mean

    def decode(self, codes: Codes) -> Tensor:  # (..., D) -> (..., C, H, W) float32
        """Compute the pictures of codes: the means of p(x|z), intensities in [0, 1].

        Raises:
            ValueError: the codes are not numbers, or of another width than `settings.latent_dim`.
        """
        with torch.no_grad(), measuring(self.module):
            return self.module.decode(self._as_codes(codes))

    def sample(self, num: int, *, seed: int = 0) -> Tensor:  # -> (num, C, H, W) float32
        """Draw codes from the prior, with exact zeros where it has a spike, and decode them.

        Raises:
            ValueError: num is negative.
        """
        if num < 0:
            raise ValueError(f"num: {num} samples; give at least 0")
        with torch.no_grad(), measuring(self.module):
            return self.module.decode(self.module.draw_prior(num, StreamNoise(make_stream(seed, "sample"))))

    def log_prob(self, images: Images, *, num_samples: int = 50, seed: int = 0) -> Tensor:  # -> (N,) float64
        """Estimate log p(x) of each image in nats, from below: the importance-weighted bound of so many samples.

        With one sample its mean over images estimates the ELBO; with more it rises towards log p(x). See
        `models.measures.bounds.compute_iw_bound`.

        Raises:
            ValueError: num_samples is below 1, or the images are refused as by `posterior`.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples: {num_samples}; give at least 1")
        noise = make_stream(seed, "log_prob")
        return torch.cat(compute_iw_bounds(self.module, self._as_bytes(images), noise, num_samples=num_samples))

    def _as_bytes(self, images: Images) -> Tensor:
        # A copy, as a dataset's arrays are read-only, of which torch warns.
        tensor = torch.from_numpy(images.copy()) if isinstance(images, np.ndarray) else images
        if not isinstance(tensor, Tensor) or tensor.dtype != torch.uint8 or tensor.shape[1:] != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"images of {_describe(tensor)}; give bytes (uint8) in the shape (N, {shape})")
        return tensor

    def _as_codes(self, codes: Codes) -> Tensor:  # -> (..., D) float32
        width = self.settings.latent_dim
        try:
            tensor = torch.as_tensor(
                codes.copy() if isinstance(codes, np.ndarray) else codes, dtype=torch.float32, device="cpu"
            )
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"codes of {_describe(codes)}; give numbers in the shape (..., {width})") from None
        if tensor.shape[-1:] != (width,):
            raise ValueError(
                f"codes of {_describe(tensor)}; give them in the shape (..., {width}): latent_dim is {width}"
            )
        return tensor


def _describe(given: object) -> str:
    if isinstance(given, Tensor | np.ndarray):
        return f"{str(given.dtype).removeprefix('torch.')} in the shape {tuple(given.shape)}"
    return f"type {type(given).__name__}"
