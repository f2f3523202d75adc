"""The evidence lower bound with a weight on the total correlation, estimated by a discriminator, as in FactorVAE."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.networks.mlp import make_linear
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.randomness import Noise, make_stream
from models.settings import TrialSettings

NUM_HIDDEN = 6
SLOPE = 0.2
"""Of the leaky ReLU, below zero."""


class Discriminator(nn.Module):
    """Tells codes from codes whose entries were shuffled over images: a network with two logits.

    disentanglement_lib has six hidden layers of 1,000; others count the output as the sixth.
    """

    def __init__(self, latent_dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [latent_dim, *[width] * NUM_HIDDEN]
        self.hidden = nn.ModuleList(make_linear(i, o, generator) for i, o in pairwise(widths))
        self.last = make_linear(width, 2, generator)

    def forward(self, z: Tensor, *, is_fixed: bool = False) -> Tensor:  # (B, D) -> (B, 2)
        """Compute the logits of z being a code, and of z being shuffled.

        is_fixed: the parameters are constants, so that no time goes into their gradients.
        """
        for layer in self.hidden:
            z = leaky_relu(layer(z, is_fixed=is_fixed), SLOPE)
        logits: Tensor = self.last(z, is_fixed=is_fixed)
        return logits


class FactorElbo(WeightedElbo):
    """The loss beta * rate + distortion + weight * TC, with TC the logit of a code less that of a shuffled one.

    The discriminator trains on codes of the step's images, and on shuffled codes of a second batch. Spike-and-slab
    codes are those of training, with relaxed or straight-through gates, through which the gradient passes.

    Source: Kim and Mnih, Disentangling by Factorising (ICML 2018), equations 2 and 3, algorithm 2.
    """

    def __init__(self, beta: float, weight: float, discriminator: Discriminator) -> None:
        super().__init__(beta)
        self.weight = weight
        self.discriminator = discriminator

    def terms(self, model: Autoencoder, x: Tensor, noise: Noise, at: At) -> Terms:
        """Compute rate, distortion and total correlation, from one sample for each image."""
        elbo, _, z = model.compute_elbo_and_codes(x, noise, at)
        is_code, is_shuffled = self.discriminator(z, is_fixed=True).to(z.dtype).unbind(1)
        return Terms(*elbo, {"total_correlation": is_code - is_shuffled})

    def loss(self, terms: Terms) -> Tensor:
        """Compute it, summed over the batch."""
        return super().loss(terms) + self.weight * terms.added["total_correlation"].sum()

    def adversary_loss(self, model: Autoencoder, x: Tensor, others: Tensor, noise: Noise, at: At) -> Tensor:
        """Compute the discriminator's cross-entropy, half from each kind of code; no gradient reaches the model."""
        with torch.no_grad():
            codes, shuffled = (model.draw(model.posterior(images), noise, at) for images in (x, others))
            shuffled = shuffle(shuffled, noise)
        logits = self.discriminator(torch.cat([codes, shuffled])).float()
        kinds = torch.arange(2, device=x.device).repeat_interleave(len(x))
        return cross_entropy(logits, kinds)


def shuffle(z: Tensor, noise: Noise) -> Tensor:  # (B, D) -> (B, D)
    """Shuffle each latent's values over the batch, independently of the other latents'."""
    return z.gather(0, noise.uniform(*z.shape).argsort(0))


def build(settings: TrialSettings) -> FactorElbo:
    """Build the objective of a trial; the discriminator's parameters depend on the seed."""
    assert settings.tc_weight is not None
    assert settings.discriminator_width is not None
    generator = make_stream(settings.seed, "discriminator")
    discriminator = Discriminator(settings.latent_dim, settings.discriminator_width, generator)
    return FactorElbo(settings.beta, settings.tc_weight, discriminator)
