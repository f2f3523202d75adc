"""Spike-and-slab latents whose prior probability of a slab is learned with the rest."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from models.choices import ImageShape
from models.latents.latent import Encode
from models.latents.spike_and_slab import SpikeAndSlabLatent, build_arguments
from models.latents.spike_and_slab_distribution import SpikeAndSlab
from models.settings import TrialSettings


class LearnedAlphaLatent(SpikeAndSlabLatent):
    """A spike-and-slab posterior under p(z) = alpha N(0, 1) + (1 - alpha) delta(0), alpha one number that is trained.

    The bound is as tight a function of alpha as of any parameter of a prior: its derivative by the logit of alpha is
    the sum over latents of gamma - alpha, so that training draws alpha to the mean gamma.
    """

    def __init__(self, latent_dim: int, *, alpha: float, **of_spikes: Any) -> None:
        """alpha: prior P(z != 0) at the start. of_spikes: see SpikeAndSlabLatent."""
        super().__init__(latent_dim, alpha=alpha, **of_spikes)
        self.start = alpha

    def set_up(self, image_shape: ImageShape, generator: torch.Generator | None) -> None:  # noqa: ARG002
        """Make the logit of alpha."""
        self.alpha_logit = nn.Parameter(torch.tensor(math.log(self.start) - math.log1p(-self.start)))

    def prior(self, encode: Encode) -> SpikeAndSlab:  # noqa: ARG002 (the prior is that of no image)
        """Return p(z) at the alpha of now, the same in every latent dimension."""
        logits = self.alpha_logit.expand(self.latent_dim)
        log_probs = logsigmoid(logits), logsigmoid(-logits)
        zero = torch.zeros_like(logits)
        return SpikeAndSlab(logits.sigmoid(), zero, zero + 1, log_probs=log_probs, validate_args=False)

    def list_learned(self) -> dict[str, Tensor]:
        """Return alpha."""
        return {"alpha": self.alpha_logit.detach().sigmoid()}


def build(settings: TrialSettings) -> LearnedAlphaLatent:
    """Build the latent variables of a trial's model."""
    return LearnedAlphaLatent(settings.latent_dim, **build_arguments(settings))
