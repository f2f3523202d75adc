"""Controls of what a probe on mu measures: the code, or an encoder whose means nothing but the probe reads.

The decoder sees mu only where the gate is open. A latent whose gate stays closed still has a mu, a function of the
encoder's hidden layer that training left to itself.

    mu_on              mu of the latents that are ever on: with gamma of a half at least on some training image
    mu_off             mu of the others
    untrained_mu       mu by the encoder as it was initialised
    hidden_projection  the encoder's last hidden layer, projected at random to as many numbers as there are latents

In mu_on and mu_off the other latents are 0, which no probe can tell from their absence. They are left out of a model
without gates, and one of them where it has no latents; hidden_projection is left out where the encoder is a
plug-in's.
"""

import math

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE, split_batches
from models.measures.probes.codes import MakeInputs
from models.networks.conv import ConvEncoder
from models.networks.mlp import MLPEncoder
from models.numerics.computing import measuring
from models.pixels import ImageBytes
from models.randomness import make_stream

OURS = (MLPEncoder, ConvEncoder)
"""Encoders with a last hidden layer that can be asked for."""

ON = 0.5
"""Least gamma with which a latent is on for an image: more likely than not it is in the code."""


def find_latents_on(model: Autoencoder, images: ImageBytes) -> Tensor:  # (N, C, H, W) uint8 -> (D,) bool
    """Find the latents that are on for at least one image."""
    largest = torch.zeros(model.latent_dim, device=images.device)
    with measuring(model):
        for x in split_batches(model, images, BATCH_SIZE):
            largest = torch.maximum(largest, model.latent.slab_prob(model.posterior(x)).amax(0))
    return largest >= ON


def make_control_inputs(model: Autoencoder, untrained: Autoencoder, is_on: Tensor, *, seed: int) -> MakeInputs:
    """Make the function from images to the controls. is_on: (D,) of `find_latents_on`. seed: that of the trial."""
    chosen: dict[str, Tensor] = {}
    if model.latent.has_gates:
        chosen = {name: latents for name, latents in (("mu_on", is_on), ("mu_off", ~is_on)) if latents.any()}
    projection = _draw_projection(model, seed)

    def make_inputs(x: Tensor) -> dict[str, Tensor]:
        mu = _compute_mu(model, x)
        inputs = {name: mu * latents for name, latents in chosen.items()}
        inputs["untrained_mu"] = _compute_mu(untrained, x)
        if projection is not None:
            assert isinstance(model.encoder, OURS)
            inputs["hidden_projection"] = model.encoder.compute_hidden(x) @ projection.to(x.device)
        return inputs

    return make_inputs


def _compute_mu(model: Autoencoder, x: Tensor) -> Tensor:  # -> (B, D)
    return model.latent.views(model.posterior(x))["mu"]


def _draw_projection(model: Autoencoder, seed: int) -> Tensor | None:  # -> (hidden units, D)
    """Draw normal numbers, of a variance that keeps squared lengths in the mean."""
    if not isinstance(model.encoder, OURS):
        return None
    numbers = torch.randn(model.encoder.num_hidden, model.latent_dim, generator=make_stream(seed, "probe/projection"))
    return numbers / math.sqrt(model.latent_dim)
