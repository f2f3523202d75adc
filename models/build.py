"""From settings to a model, put together from its parts, and to the objective that it is trained on."""

from importlib import import_module
from math import prod

import torch

from models.autoencoder import Autoencoder
from models.latents.latent import Latent
from models.likelihoods import Bernoulli
from models.networks.mlp import MLPDecoder, MLPEncoder
from models.networks.widths import list_widths
from models.objectives.objective import Objective
from models.settings import ImageShape, TrialSettings


def build_model(settings: TrialSettings, image_shape: ImageShape, *, is_drawn: bool = True) -> Autoencoder:
    """The freshly initialised model, on the CPU.

    Its parameters are those that the report's code draws after torch.manual_seed(seed): what becomes of a VSC with few
    latents depends on them by whole nats. is_drawn: else they are left undefined, for others to be put there.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64) if is_drawn else None
    num_heads, initialisation = settings.parts.num_heads, settings.initialisation
    encoder, decoder = list_widths(prod(image_shape), settings.hidden, settings.latent_dim, num_heads)
    model = Autoencoder(
        MLPEncoder(encoder, generator, num_heads=num_heads, initialisation=initialisation),
        MLPDecoder(decoder, generator, image_shape=image_shape, initialisation=initialisation),
        build_latent(settings),
        Bernoulli(),
        pixel_scaling=settings.pixel_scaling,
    )
    return model.eval()


def build_latent(settings: TrialSettings) -> Latent:
    """The model's latent variables, by the file that its parts name."""
    latent: Latent = import_module(f"models.latents.{settings.parts.latent}").build(settings)
    return latent


def build_objective(settings: TrialSettings) -> Objective:
    """What the model is trained on, by the file that its parts name. Its own parameters are drawn by the seed."""
    objective: Objective = import_module(f"models.objectives.{settings.parts.objective}").build(settings)
    return objective
