"""The random numbers of the report's own runs."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from models.networks.widths import list_widths
from models.settings import TrialSettings

NUM_TEST_IMAGES = 10_000
"""The images that the report's code tests on, and draws noise for, after every epoch: those of MNIST."""


class ReproductionStream:
    """What the report's code draws from torch's one generator in a run, in its order: batch orders and noise.

    It seeds the generator and initialises the layers. Then, in every epoch, it shuffles the training images, draws a
    normal number for every latent of a batch and, for a VSC, a uniform one, batch by batch; and does the same on the
    test images. All of that on a CPU, with torch 0.4, whose numbers are those of torch today: drawn in this order, and
    in no other that was tried, they lead a VAE to the published losses, within 0.12% after an epoch.

    Source: https://github.com/Alfo5123/Variational-Sparse-Coding, src/vae-mnist.py and src/vsc-mnist.py.
    """

    def __init__(self, settings: TrialSettings, num_pixels: int, num_images: int, *, epoch: int) -> None:
        """num_images: those that are trained on. epoch: how many epochs are over already."""
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
        """The order of the images in the next epoch. Draw all the noise of an epoch before you begin the next."""
        if not self._is_first:  # what was drawn to test the model: we measure with noise of our own
            torch.randperm(NUM_TEST_IMAGES, generator=self._generator)
            self._pass_over(NUM_TEST_IMAGES)
        self._is_first = False
        return torch.randperm(self._num_images, generator=self._generator)

    def draw_noise(self, num_images: int) -> tuple[Tensor, Tensor]:  # -> twice (num_images, latent_dim) float32
        """Normal noise for the next images of the epoch, and noise uniform in [0, 1), which a VAE has none of: zeros.

        num_images: whole batches, unless these are the epoch's last.
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
    """Noise of one batch that was drawn beforehand, one number of each kind for every latent."""

    def __init__(self, normal: Tensor, uniform: Tensor) -> None:
        """Each (B, latent_dim)."""
        self._normal, self._uniform = normal, uniform

    def normal(self, *shape: int) -> Tensor:
        """The normal numbers."""
        assert self._normal.shape == shape, "the reproduction draws one normal number for each latent"
        return self._normal

    def uniform(self, *shape: int) -> Tensor:
        """The uniform numbers."""
        assert self._uniform.shape == shape, "the reproduction draws one uniform number for each latent"
        return self._uniform
