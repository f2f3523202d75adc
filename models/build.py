"""Build what a trial's settings describe: the model, from its parts, and the objective that it is trained on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from models import likelihoods
from models.autoencoder import Autoencoder
from models.choices import NETWORKS, ImageShape, Part
from models.latents.latent import Latent
from models.objectives.objective import Objective
from models.randomness import make_key
from models.settings import TrialSettings


def build_model(settings: TrialSettings, image_shape: ImageShape, *, is_drawn: bool = True) -> Autoencoder:
    """Build the model and draw its initial parameters, on the CPU.

    The parameters are those that the code of "[Re] Variational Sparse Coding" draws after torch.manual_seed(seed): the
    final ELBO of a VSC with few latents depends on them by whole nats. is_drawn: whether to draw them; if not, they
    stay undefined, to be loaded afterwards.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64) if is_drawn else None
    network = NETWORKS[settings.network]
    with _seeded(settings, "network", network.plugin):
        encoder, decoder = _find_builder("networks", network.build)(settings, image_shape, generator)
    latent, likelihood = build_latent(settings), likelihoods.build(settings)
    latent.set_up(image_shape, generator)
    model = Autoencoder(encoder, decoder, latent, likelihood, pixel_scaling=settings.pixel_scaling)
    return model.eval()


def build_latent(settings: TrialSettings) -> Latent:
    """Build the model's latent variables, by the file or function that the model's parts name."""
    with _seeded(settings, "latent", settings.parts.plugin):
        latent: Latent = _find_builder("latents", settings.parts.latent)(settings)
    return latent


def build_objective(settings: TrialSettings) -> Objective:
    """Build the training objective, by the file or function that the model's parts name.

    Its parameters depend on the seed.
    """
    with _seeded(settings, "objective", settings.parts.plugin):
        objective: Objective = _find_builder("objectives", settings.parts.objective)(settings)
    return objective


def _find_builder(room: str, part: Part) -> Callable[..., Any]:
    """The function that builds a part."""
    return part if callable(part) else import_module(f"models.{room}.{part}").build


@contextmanager
def _seeded(settings: TrialSettings, purpose: str, plugin: str) -> Iterator[None]:
    """Let what a plug-in builds draw from torch's own generator, as plain layers do: seeded, and restored."""
    if not plugin:
        yield
        return
    with torch.random.fork_rng(devices=[]):  # the CPU's alone; torch.manual_seed would seed graphics cards as well
        torch.default_generator.manual_seed(make_key(settings.seed, f"build/{purpose}") >> 1)
        yield
