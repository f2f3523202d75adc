"""From settings to a model."""

import torch

from models.autoencoder import Autoencoder
from models.latents.gaussian import VAE
from models.latents.spike_and_slab import VSC
from models.settings import TrialSettings


def build_model(settings: TrialSettings, num_pixels: int, *, is_drawn: bool = True) -> Autoencoder:
    """The freshly initialised model, on the CPU.

    Its parameters are those that the report's code draws after torch.manual_seed(seed): what becomes of a VSC with few
    latents depends on them by whole nats. is_drawn: else they are left undefined, for others to be put there.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64) if is_drawn else None
    shape = (num_pixels, settings.hidden, settings.latent_dim)
    model: Autoencoder
    if settings.model == "vae":
        model = VAE(*shape, generator, initialisation=settings.initialisation)
    else:
        assert settings.alpha is not None
        assert settings.gamma_link is not None
        assert settings.gamma_clamp is not None
        model = VSC(
            *shape,
            generator,
            alpha=settings.alpha,
            gamma_link=settings.gamma_link,
            gamma_clamp=settings.gamma_clamp,
            initialisation=settings.initialisation,
        )
    model.pixel_scaling = settings.pixel_scaling
    return model.eval()  # a Stack trains it, which knows no mode
