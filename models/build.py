"""Build what a trial's settings describe: the model, from its parts, and the objective that it is trained on."""

from importlib import import_module
from math import prod
from typing import Any

import torch

from models.autoencoder import Autoencoder
from models.latents.latent import Latent
from models.likelihoods import Bernoulli
from models.networks.mlp import MLPDecoder, MLPEncoder
from models.networks.widths import list_widths
from models.objectives.objective import Objective
from models.settings import ImageShape, TrialSettings


def build_model(settings: TrialSettings, image_shape: ImageShape, *, is_drawn: bool = True) -> Autoencoder:
    """Build the model and draw its initial parameters, on the CPU.

    The parameters are those that the code of "[Re] Variational Sparse Coding" draws after torch.manual_seed(seed): the
    final ELBO of a VSC with few latents depends on them by whole nats. is_drawn: whether to draw them; if not, they
    stay undefined, to be loaded afterwards.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64) if is_drawn else None
    num_heads = settings.parts.num_heads
    encoder, decoder = list_widths(prod(image_shape), settings.hidden, settings.latent_dim, num_heads)
    like: dict[str, Any] = {"initialisation": settings.initialisation, "activation": settings.activation}
    model = Autoencoder(
        MLPEncoder(encoder, generator, num_heads=num_heads, **like),
        MLPDecoder(decoder, generator, image_shape=image_shape, **like),
        build_latent(settings),
        Bernoulli(),
        pixel_scaling=settings.pixel_scaling,
    )
    return model.eval()


def build_latent(settings: TrialSettings) -> Latent:
    """Build the model's latent variables, from the file that the model's parts name."""
    latent: Latent = import_module(f"models.latents.{settings.parts.latent}").build(settings)
    return latent


def build_objective(settings: TrialSettings) -> Objective:
    """Build the training objective, from the file that the model's parts name. Its parameters depend on the seed."""
    objective: Objective = import_module(f"models.objectives.{settings.parts.objective}").build(settings)
    return objective
