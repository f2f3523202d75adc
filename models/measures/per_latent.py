"""What each latent does over images: how often its gate is open, its rate, and what its gate tells of the image.

A trial stores it for the figures. D: latent dimensions. K: classes.

    slab_prob               (D,)     float32  mean of gamma = P(z != 0 | x); 1 where there is no spike
    kl                      (D,)     float32  mean of KL(q(z|x) || p(z)), nats; absent where it has no closed form
    gate_information        (D,)     float32  nats: entropy of the mean gate less the mean entropy of the gates
    classes                 (K,)     int64    labels
    slab_prob_by_class      (K, D)   float32  mean of gamma over the images of a class
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE, split_batches
from models.numerics.computing import measuring


class PerLatent(NamedTuple):
    """For each of D latents, over images; float64, on the CPU."""

    slab_prob: Tensor  # (D,) mean of gamma = P(z != 0 | x); 1 where there is no spike
    kl: Tensor  # (D,) mean of KL(q(z|x) || p(z)), nats; NaN where it has no closed form
    gate_information: Tensor  # (D,) nats: entropy of the mean gate less the mean entropy of the gates


@torch.no_grad()
def measure_latents(model: Autoencoder, images: Tensor) -> PerLatent:  # (N, C, H, W) uint8
    """Measure each latent, in closed form: nothing is drawn.

    A gate is a Bernoulli variable of probability gamma(x). Its information is the mutual information between the gate
    and the image, if all images are equally probable: nothing for a gate that is always open, nor for one that follows
    the prior whatever the image, and at most log 2.
    """
    totals = torch.zeros(3, model.latent_dim, dtype=torch.float64)
    prior = model.prior()
    with measuring(model):
        for x in split_batches(model, images, BATCH_SIZE):
            q = model.posterior(x)
            gamma = model.latent.slab_prob(q).double()  # (B, D)
            kl = _compute_kl(q, prior).double()
            totals += torch.stack([part.sum(0) for part in (gamma, kl, compute_entropy(gamma))]).cpu()
    slab_prob, kl, entropy = totals / len(images)
    return PerLatent(slab_prob, kl, (compute_entropy(slab_prob) - entropy).clamp_min(0.0))


def make_latent_arrays(model: Autoencoder, images: Tensor, labels: Tensor) -> dict[str, NDArray[Any]]:
    """Make the arrays that this module's docstring lists. images: (N, C, H, W) uint8. labels: (N,)."""
    whole, labels = measure_latents(model, images), labels.to(images.device)
    classes = labels.unique()
    by_class = [measure_latents(model, images[labels == label]).slab_prob for label in classes]
    measured = whole._asdict() | {"slab_prob_by_class": torch.stack(by_class)}
    arrays = {name: values.numpy().astype(np.float32) for name, values in measured.items() if values.isfinite().all()}
    return arrays | {"classes": classes.cpu().numpy()}


def compute_entropy(prob: Tensor) -> Tensor:
    """Compute the entropy of Bernoulli variables, in nats, elementwise; 0 at probabilities 0 and 1."""
    return -torch.xlogy(prob, prob) - torch.xlogy(1 - prob, 1 - prob)


def _compute_kl(q: Distribution, p: Distribution) -> Tensor:  # -> (B, D)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return torch.full_like(q.mean, torch.nan)
