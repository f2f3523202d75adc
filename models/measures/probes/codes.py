"""The inputs of the probes: what a frozen model makes of images."""

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.numerics.measuring import measuring
from models.randomness import StreamNoise, make_stream

BATCH_SIZE = 500

RIDGE = 0.1
"""Added to variances that average 1: directions in which codes hardly vary are not blown up to the others' size."""


def encode(
    model: Autoencoder, images: Tensor, order: Tensor, *, seed: int, split: str
) -> tuple[tuple[str, ...], Tensor]:
    """Codes of images (N, C, H, W) uint8, taken in this order (N,): their names, and (N, K, latent_dim + 1) on the CPU.

    The K inputs stand side by side: the latent's views of the posterior, then z, a hard sample. Behind each stands a
    one, so that a matrix of weights holds its biases as its last column.
    """
    noise = StreamNoise(make_stream(seed, f"probe/z/{split}", device=images.device))
    names: tuple[str, ...] = ()
    codes = torch.empty(0)
    with measuring(model):
        for i, batch in enumerate(order.split(BATCH_SIZE)):
            q = model.posterior(model.to_pixels(images[batch.to(images.device)]))
            inputs = model.latent.views(q) | {"z": model.draw(q, noise)}
            if i == 0:
                names = tuple(inputs)
                codes = torch.ones(len(order), len(inputs), model.latent_dim + 1)
            codes[i * BATCH_SIZE :][: len(batch), :, :-1] = torch.stack(list(inputs.values()), 1)
    return names, codes


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:  # (N, K, D + 1), (M, K, D + 1)
    """Both with each entry of a code at mean 0 and variance 1 over the training images; the ones stay ones.

    An entry that does not vary is moved to 0 only, as scikit-learn's StandardScaler does.
    """
    var, mean = torch.var_mean(train, 0, correction=0)
    scale = var.sqrt()
    scale[scale <= 1e-6 * mean.abs()] = 1.0  # what rounding leaves of the spread of a constant is none
    mean[:, -1] = 0.0
    return (train - mean).div_(scale), (test - mean).div_(scale)


def whiten(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:  # (N, K, D + 1), (M, K, D + 1), both standardised
    """Both turned to the principal axes of the training images' codes, at a variance of about 1 on each axis.

    Without it, gradient descent is slow on codes whose entries go together, as those of a sparse model do.
    """
    white = train.clone(), test.clone()
    for k in range(train.shape[1]):
        codes = train[:, k, :-1]
        variances, axes = torch.linalg.eigh(codes.T @ codes / len(codes))
        axes /= (variances.clamp(min=0) + RIDGE).sqrt()
        for own, standardised in zip(white, (train, test), strict=True):
            own[:, k, :-1] = standardised[:, k, :-1] @ axes
    return white
