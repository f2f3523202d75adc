"""Likelihoods: the distribution of an image, given the decoder's outputs."""

import math
from typing import Protocol, assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.choices import Variance
from models.settings import TrialSettings

MIN_VARIANCE = 1e-6
"""What is added to a learned variance, so that densities stay finite where a pixel never changes, as in the code of
Tonolini et al. (2019)."""


class Likelihood(Protocol):
    """A likelihood p(x|z), parametrised by the decoder's outputs (..., C or 2 C, H, W)."""

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


class Gaussian(nn.Module):
    """Independent Gaussian pixels; their means are the sigmoid of the decoder's outputs, as pictures lie in [0, 1].

    Their density is in intensities, not bytes: its logarithm may be positive, and -log p(x|z) negative.

    variance: fixed at pixel_sd^2; shared, one learned number for all pixels, which starts at pixel_sd^2 + MIN_VARIANCE;
    or per_pixel, a second output of the decoder for each: its logarithm, before MIN_VARIANCE is added. Source of
    shared: Rybkin, Daniilidis and Levine, Simple and Effective VAE Training with Calibrated Decoders (ICML 2021); of
    per_pixel, and of the sigmoid: Tonolini, Jensen and Murray-Smith, Variational Sparse Coding (UAI 2019), and its
    code.
    """

    def __init__(self, variance: Variance, pixel_sd: float) -> None:
        super().__init__()
        self.variance = variance
        log_variance = torch.tensor(2 * math.log(pixel_sd))
        match variance:
            case "shared":
                self.log_variance: Tensor = nn.Parameter(log_variance)
            case "fixed" | "per_pixel":
                self.register_buffer("log_variance", log_variance, persistent=False)
            case _:
                assert_never(variance)

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Compute the negative log density, summed over an image's pixels."""
        mean, log_variance = self._split(outputs)
        match self.variance:
            case "fixed":
                variance = log_variance.exp()
            case "shared" | "per_pixel":
                variance = log_variance.exp() + MIN_VARIANCE
                log_variance = variance.log()
            case _:
                assert_never(self.variance)
        nats = 0.5 * ((x - mean).square() / variance + log_variance + math.log(2 * math.pi))
        return nats.flatten(-3).sum(-1)

    def picture(self, outputs: Tensor) -> Tensor:
        """Compute the means of the pixels."""
        return self._split(outputs)[0]

    def _split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance."""
        match self.variance:
            case "fixed" | "shared":
                return outputs.sigmoid(), self.log_variance
            case "per_pixel":
                logit, log_variance = outputs.chunk(2, -3)
                return logit.sigmoid(), log_variance


def build(settings: TrialSettings) -> Likelihood:
    """Build the likelihood of a trial's model."""
    match settings.likelihood:
        case "bernoulli":
            return Bernoulli()
        case "gaussian":
            return Gaussian(settings.variance, settings.pixel_sd)
