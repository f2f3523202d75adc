"""How far bounds are below log p(x): the importance-weighted bound with so many samples that little is missing."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.bounds import IW_BATCH_SIZE, draw_log_weights, split_batches
from models.numerics.computing import measuring
from models.randomness import StreamNoise

NUM_IMAGES = 500
"""Images whose bounds are computed, evenly spaced, the same for every model."""

NUM_SAMPLES = 5_000
FEW_SAMPLES = 50


class InferenceGap(NamedTuple):
    """Means over about 500 images, nats per image."""

    iw_bound: float  # with 5,000 samples
    gap_to_elbo: float  # the bound less the ELBO of the same images
    gap_to_few: float  # the bound less that with 50 samples of the same images


@torch.no_grad()
def compute_inference_gap(
    model: Autoencoder,
    images: Tensor,  # (N, C, H, W) uint8
    generator: torch.Generator,
) -> InferenceGap:
    """Compute the importance-weighted bound with 5,000 samples, and how much lower looser bounds of the images are.

    All three bounds are means of the same weights: over one, 50 or 5,000 of them at a time. So the differences owe
    nothing to which images are among the 500, which alone moves a bound on MNIST by a nat. The ELBO is the
    true one, of sampled weights as the others are: of vsc_uai_* `test/elbo` has a bound on the rate, and is lower.

    For a VSC of 200 latents on MNIST it takes one core 20 to 30 seconds, four times as long as the bound with 50
    samples of all 10,000 test images, and memory for 2,500 pictures at a time.

    Source: Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders (ICLR 2016), which evaluates with 5,000
    samples; Cremer, Li and Duvenaud, Inference Suboptimality in Variational Autoencoders (ICML 2018), for the gap.
    """
    some = images[:: max(1, len(images) // NUM_IMAGES)]
    noise = StreamNoise(generator)
    totals = torch.zeros(3, dtype=torch.float64)
    with measuring(model):
        for x in split_batches(model, some, IW_BATCH_SIZE):
            log_weights = draw_log_weights(model, x, noise, NUM_SAMPLES).double()  # (K, B)
            bounds = [_compute_bound(log_weights, num).sum() for num in (NUM_SAMPLES, 1, FEW_SAMPLES)]
            totals += torch.stack(bounds).cpu()
    many, elbo, few = (totals / len(some)).tolist()
    return InferenceGap(many, many - elbo, many - few)


def _compute_bound(log_weights: Tensor, num_samples: int) -> Tensor:  # (K, B) -> (B,)
    """Compute the mean of the bounds with `num_samples` samples, of which there are K / num_samples."""
    groups = log_weights.view(-1, num_samples, log_weights.shape[1])
    return (groups.logsumexp(1) - math.log(num_samples)).mean(0)
