"""Bounds of a trained model in nats per image, its training loss, and its reconstruction error."""

import math
from collections.abc import Iterator
from operator import truediv
from typing import NamedTuple

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.latents.latent import At
from models.numerics.computing import measuring
from models.objectives.objective import Objective
from models.pixels import ImageBytes
from models.randomness import Noise, StreamNoise

RELAXED_SHARPNESS = 200.0
"""Sharpness of the relaxed samples in Figure 1 of "[Re] Variational Sparse Coding"."""

BATCH_SIZE = 500  # images
IW_BATCH_SIZE = 50  # images, with IW_SAMPLES_AT_ONCE codes each
IW_SAMPLES_AT_ONCE = 50


class Bound(NamedTuple):
    """Means over images, scalars; the ELBO is -(rate + distortion)."""

    rate: Tensor  # nats per image
    distortion: Tensor  # nats per image
    nonzero_fraction: Tensor  # expected share of code entries that are not zero: mean of P(z != 0 | x)


@torch.no_grad()
def compute_bound(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
    *,
    sharpness: float | None = None,
    num_samples: int = 1,
) -> Bound:
    """Compute the rate, the distortion and the share of non-zero entries, as means over images.

    sharpness: None: samples are hard. Else samples are as training draws them, at this sharpness: relaxed with the
    estimator relaxed, hard with the others, where it is the true bound under other noise, as of a model without gates.
    Only hard samples give a bound: a relaxed one carries information through nearly closed gates that the rate does not
    count. The rate is exact in all cases, but of vsc_uai_*, of which it is an upper bound.
    num_samples: samples per image, over which distortions are averaged.
    """
    totals = torch.zeros(3, dtype=torch.float64)
    noise = StreamNoise(generator)
    at = None if sharpness is None else At(torch.tensor(sharpness, device=images.device))
    with measuring(model):
        for x in split_batches(model, images, BATCH_SIZE):
            q = model.posterior(x)
            rate = model.compute_rate(q, x).double().sum()
            fraction = model.latent.slab_prob(q).double().mean(1).sum()
            for _ in range(num_samples):
                distortion = model.compute_distortion(model.draw(q, noise, at), x).double().sum()
                totals += torch.stack([rate, distortion, fraction]).cpu()
    return Bound(*(totals / (len(images) * num_samples)))


@torch.no_grad()
def compute_loss(
    model: Autoencoder,
    objective: Objective,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
    *,
    sharpness: float | None,
    step: int = 0,
) -> float:
    """Compute the training objective of images: the mean over them, nats per image.

    sharpness: that of the training step; None for a model without a spike. step: steps trained.
    """
    total, noise = 0.0, StreamNoise(generator)
    at = At(torch.tensor(sharpness or 0.0, device=images.device), step)
    with measuring(model), measuring(objective):
        for x in split_batches(model, images, BATCH_SIZE):
            total += float(objective.loss(objective.terms(model, x, noise, at).to_double()))
    return total / len(images)


@torch.no_grad()
def compute_iw_bound(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
    *,
    num_samples: int,
) -> float:
    """Compute the importance-weighted bound log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), nats per image, hard samples.

    In expectation it is at least the true ELBO and at most log p(x). Source: Burda, Grosse and Salakhutdinov,
    Importance Weighted Autoencoders (ICLR 2016), equation 8.
    """
    bounds = compute_iw_bounds(model, images, generator, num_samples=num_samples)
    return sum(float(part.sum()) for part in bounds) / len(images)


@torch.no_grad()
def compute_iw_bounds(
    model: Autoencoder, images: Tensor, generator: torch.Generator, *, num_samples: int
) -> list[Tensor]:  # each (B,) float64
    """Compute the importance-weighted bound of each image, nats, batch by batch: see `compute_iw_bound`."""
    noise, bounds = StreamNoise(generator), []
    with measuring(model):
        for x in split_batches(model, images, IW_BATCH_SIZE):
            log_weights = draw_log_weights(model, x, noise, num_samples)  # (K, B)
            bounds.append((log_weights.logsumexp(0) - math.log(num_samples)).double())
    return bounds


def draw_log_weights(model: Autoencoder, x: Tensor, noise: Noise, num_samples: int) -> Tensor:  # -> (num_samples, B)
    """Draw log p(x|z) p(z) / q(z|x) for hard samples z, in nats, for images x (B, C, H, W).

    Some samples are drawn at a time: the memory that codes and pictures take does not grow with their number.
    """
    q = model.posterior(x)
    parts = []
    for first in range(0, num_samples, IW_SAMPLES_AT_ONCE):
        num = min(IW_SAMPLES_AT_ONCE, num_samples - first)
        z = model.draw(q.expand([num, *q.batch_shape]), noise)  # (num, B, latent_dim)
        parts.append(model.compute_log_ratio(q, z) - model.compute_distortion(z, x))
    return torch.cat(parts)


@torch.no_grad()
def compute_reconstruction_error(model: Autoencoder, images: Tensor) -> float:  # (N, C, H, W) uint8
    """Compute the mean over images of |x_hat - x|^2 / |x|^2, x_hat being decoded from the posterior mean E[z|x].

    0 is perfect, 1 as good as a black picture. The scale of the pixels does not matter. All-black images are left out;
    the result is NaN if there are no others.
    """
    errors = []
    with measuring(model):
        for x in split_batches(model, images[(images > 0).flatten(1).any(1)], BATCH_SIZE):
            x_hat = model.decode(model.posterior(x).mean)
            squares = (part.square().flatten(1).sum(-1) for part in (x_hat - x, x))
            errors.append(truediv(*squares).double().cpu())
    return float(torch.cat(errors).mean())


@torch.no_grad()
def compute_entropy_floor(model: Autoencoder, images: Tensor) -> float:  # (N, C, H, W) uint8
    """Compute the entropy of the pixels as the model sees them, each a Bernoulli's probability, nats per image.

    It is the mean over images of what the distortion is at least, whatever the model: a decoder that gave every pixel's
    very value would still pay it. Pixels that are 0 or 1 have none; grey ones make of the bound one of a
    pseudo-likelihood (see `models.likelihoods.Bernoulli`).
    """
    total = 0.0
    with measuring(model):
        for x in split_batches(model, images, BATCH_SIZE):
            p = x.double()
            total -= float((torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum())
    return total / len(images)


def split_batches(model: Autoencoder, images: ImageBytes, size: int) -> Iterator[Tensor]:  # -> (B, C, H, W)
    """Yield the images in batches, as the model sees them."""
    return (model.to_pixels(batch) for batch in images.split(size))
