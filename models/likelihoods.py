"""What the decoder's outputs say of an image."""

from typing import Protocol

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


class Likelihood(Protocol):
    """p(x|z), from the decoder's outputs (..., C, H, W)."""

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) in nats per image, (..., B), for images x (B, C, H, W) in [0, 1]."""

    def picture(self, outputs: Tensor) -> Tensor:
        """The mean of p(x|z), intensities in [0, 1], (..., C, H, W)."""


class Bernoulli:
    """Each pixel on with a probability of its own; outputs are logits.

    Pixels between 0 and 1 are treated as the report treats them: the cross-entropy stands for -log p(x|z).
    """

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        """The cross-entropy, summed over an image's pixels."""
        nats = binary_cross_entropy_with_logits(outputs, x.expand_as(outputs), reduction="none")
        return nats.flatten(-3).sum(-1)

    def picture(self, outputs: Tensor) -> Tensor:
        """The probabilities."""
        return outputs.sigmoid()
