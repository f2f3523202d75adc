"""Likelihoods: the distribution of an image, given the decoder's outputs."""

from typing import Protocol

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


class Likelihood(Protocol):
    """A likelihood p(x|z), parametrised by the decoder's outputs (..., C, H, W)."""

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Compute -log p(x|z) in nats per image, (..., B), for images x (B, C, H, W) in [0, 1]."""

    def picture(self, outputs: Tensor) -> Tensor:
        """Compute the mean of p(x|z), intensities in [0, 1], (..., C, H, W)."""


class Bernoulli:
    """Independent Bernoulli pixels; the decoder's outputs are their logits.

    For pixels between 0 and 1 the cross-entropy takes the place of -log p(x|z), as in "[Re] Variational Sparse Coding".
    """

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Compute the cross-entropy, summed over an image's pixels."""
        nats = binary_cross_entropy_with_logits(outputs, x.expand_as(outputs), reduction="none")
        return nats.flatten(-3).sum(-1)

    def picture(self, outputs: Tensor) -> Tensor:
        """Compute the probabilities of the pixels."""
        return outputs.sigmoid()
