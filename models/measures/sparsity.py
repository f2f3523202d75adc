"""Sparsity of codes."""

import math

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE, split_batches
from models.numerics.computing import measuring
from models.randomness import StreamNoise

ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean over images above which a latent is active (Burda et al., 2016, section 5)."""


@torch.no_grad()
def compute_sparsity(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
) -> dict[str, float]:
    """Compute measures of how sparse the codes of images are.

    slab_prob: mean posterior P(z != 0). nonzero_fraction: share of entries of hard samples that are not zero.
    hoyer: Hoyer's measure of the hard samples, each latent first divided by its standard deviation over images, 0
    for dense and 1 for one-hot or empty codes (Hurley and Rickard, 2009; normalised as in Mathieu et al., 2019,
    equation 9); absent if there is only one latent. active_units: number of latents whose posterior mean
    has a variance above 0.01 over images.
    """
    gammas, means, codes, noise = [], [], [], StreamNoise(generator)
    with measuring(model):
        for x in split_batches(model, images, BATCH_SIZE):
            q = model.posterior(x)
            gammas.append(model.latent.slab_prob(q).cpu())
            means.append(q.mean.cpu())
            codes.append(model.draw(q, noise).cpu())
        z = torch.cat(codes).double()  # (N, latent_dim)
        sparsity = {
            "slab_prob": float(torch.cat(gammas).double().mean()),
            "nonzero_fraction": float((z != 0).double().mean()),
            "active_units": float((torch.cat(means).double().var(0) > ACTIVE_VARIANCE).sum()),
        }
        if model.latent_dim > 1:
            sparsity["hoyer"] = compute_hoyer(z)
    return sparsity


def compute_hoyer(z: Tensor) -> float:  # (N, latent_dim) -> scalar
    """Compute the mean Hoyer sparsity of the rows: (sqrt(d) - |z|_1 / |z|_2) / (sqrt(d) - 1); 1 for an empty row."""
    scaled = z / z.std(0).clamp_min(1e-12)
    ratio = scaled.abs().sum(1) / scaled.norm(dim=1).clamp_min(1e-12)
    root = math.sqrt(z.shape[1])
    return float(((root - ratio) / (root - 1)).clamp_max(1.0).mean())
