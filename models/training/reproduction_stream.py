"""The random numbers of the runs in "[Re] Variational Sparse Coding", the reproduction."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from models.networks.widths import list_widths
from models.settings import TrialSettings

NUM_TEST_IMAGES = 10_000
"""Number of test images, MNIST's, that the reproduction's code draws noise for after every epoch."""


class ReproductionStream:
    """Batch orders and noise in the order in which the reproduction's code draws them from torch's global generator.

    That code seeds the generator and initialises the layers. Then, in every epoch, it shuffles the training images and,
    batch by batch, draws a normal number for every latent and, for a VSC, a uniform one; then it does the same on the
    test images. It ran on a CPU, with torch 0.4, whose numbers are those of torch today. Numbers in this order lead a
    VAE to the published losses, within 0.12% after an epoch; no other order that was tried does.

    Source: https://github.com/Alfo5123/Variational-Sparse-Coding, src/vae-mnist.py and src/vsc-mnist.py.
    """

    def __init__(self, settings: TrialSettings, num_pixels: int, num_images: int, *, epoch: int) -> None:
        """num_images: number of training images. epoch: number of epochs already trained, whose draws are skipped."""
        self._latent_dim, self._batch_size = settings.latent_dim, settings.batch_size
        self._has_spike = settings.sharpness is not None
        self._num_images = num_images
        self._generator = torch.Generator().manual_seed(settings.seed % 2**64)
        encoder, decoder = list_widths(num_pixels, settings.hidden, settings.latent_dim, settings.parts.num_heads)
        for num_in, num_out in (*pairwise(encoder), *pairwise(decoder)):
            torch.empty((num_in + 1) * num_out).uniform_(generator=self._generator)
        self._is_first = True
        for _ in range(epoch):
            self.shuffle()
            self._pass_over(num_images)

    def shuffle(self) -> Tensor:  # -> (num_images,) int64
        """Draw the order of the images in the next epoch. All noise of the epoch before must have been drawn."""
        if not self._is_first:  # skip the draws of the reproduction's test: our measures have other noise
            torch.randperm(NUM_TEST_IMAGES, generator=self._generator)
            self._pass_over(NUM_TEST_IMAGES)
        self._is_first = False
        return torch.randperm(self._num_images, generator=self._generator)

    def draw_noise(self, num_images: int) -> tuple[Tensor, Tensor]:  # -> twice (num_images, latent_dim) float32
        """Draw normal noise and noise uniform in [0, 1) for the next images; a VAE's uniform noise is zeros.

        num_images: a multiple of the batch size, except at the end of the epoch.
        """
        normal, uniform = zip(*self._draw_batches(num_images), strict=True)
        return torch.cat(normal), torch.cat(uniform)

    def _pass_over(self, num_images: int) -> None:
        for _ in self._draw_batches(num_images):
            pass

    def _draw_batches(self, num_images: int) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, num_images, self._batch_size):
            shape = (min(self._batch_size, num_images - first), self._latent_dim)
            normal = torch.randn(shape, generator=self._generator)
            yield normal, torch.rand(shape, generator=self._generator) if self._has_spike else torch.zeros(shape)


class BatchNoise:
    """Noise of one batch, drawn beforehand: one normal and one uniform number for every latent."""

    def __init__(self, normal: Tensor, uniform: Tensor) -> None:
        """normal, uniform: each (B, latent_dim)."""
        self._normal, self._uniform = normal, uniform

    def normal(self, *shape: int) -> Tensor:
        """Return the normal numbers."""
        assert self._normal.shape == shape, "the reproduction draws one normal number for each latent"
        return self._normal

    def uniform(self, *shape: int) -> Tensor:
        """Return the uniform numbers."""
        assert self._uniform.shape == shape, "the reproduction draws one uniform number for each latent"
        return self._uniform
