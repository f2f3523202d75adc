"""A model whose posteriors are planted: image i has the heads of row i of a table."""

import torch
from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.build import build_model
from tests.models.cases import make_settings

ALPHA = 0.3  # the prior of the kinds of VSC in cases.py


class PlantedEncoder(nn.Module):
    """Looks the heads up by the image's only pixel, which counts from 0 to 255."""

    def __init__(self, heads: Tensor) -> None:  # (N, H, D)
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, 1, 1) in [0, 1] -> (B, H, D)
        return self.heads[(255 * x).round().long().flatten()]


def plant(gamma: Tensor | None, mu: Tensor | float = 0.0) -> tuple[Autoencoder, Tensor]:
    """A VSC with these gammas, (N, D), or a VAE without any; its images, (N, 1, 1, 1). sigma is 1.

    mu: means of the slab, which broadcast to (N, D).
    """
    mu = torch.as_tensor(mu)
    shape = mu.shape if gamma is None else gamma.shape
    heads = [mu.expand(shape), torch.zeros(shape)]
    heads += [] if gamma is None else [gamma.double().logit().clamp(-200, 200).float()]  # so far out it is 0 or 1
    kind = "vae" if gamma is None else "vsc_sigmoid"
    model = build_model(make_settings(kind, latent_dim=shape[1], hidden=(4,)), (1, 1, 1))
    model.encoder = PlantedEncoder(torch.stack(heads, 1))
    return model, torch.arange(shape[0], dtype=torch.uint8).view(-1, 1, 1, 1)
