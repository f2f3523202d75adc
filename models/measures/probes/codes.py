"""The inputs of the probes: codes of images by a frozen model."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.measures.bounds import BATCH_SIZE
from models.networks.mlp import make_linear
from models.numerics.computing import measuring
from models.pixels import ImageBytes

RIDGE = 0.1
"""Number added to variances, which average 1, so that directions in which codes hardly vary stay small."""


MakeInputs = Callable[[Tensor], Mapping[str, Tensor]]
"""Makes the inputs of the probes, each (B, D), by name, from a batch of images (B, C, H, W) in [0, 1]."""


def encode(
    model: Autoencoder, images: ImageBytes, order: Tensor, make_inputs: MakeInputs
) -> tuple[tuple[str, ...], Tensor]:
    """Encode images (N, C, H, W) uint8 in an order (N,); return K names and codes (N, K, latent_dim + 1) on the CPU.

    A one stands behind each code, so that the last column of a matrix of weights holds the biases.
    """
    names: tuple[str, ...] = ()
    codes = torch.empty(0)
    with measuring(model):
        for i, batch in enumerate(order.split(BATCH_SIZE)):
            inputs = make_inputs(model.to_pixels(images[batch.to(images.device)]))
            if i == 0:
                names = tuple(inputs)
                codes = torch.ones(len(order), len(inputs), model.latent_dim + 1)
            codes[i * BATCH_SIZE :][: len(batch), :, :-1] = torch.stack(list(inputs.values()), 1)
    return names, codes


def make_layer(num_in: int, num_out: int, generator: torch.Generator) -> Tensor:  # -> (num_out, num_in + 1)
    """Draw weights and, as the last column, biases, as torch's Linear does."""
    layer = make_linear(num_in, num_out, generator)
    return torch.cat([layer.weight, layer.bias[:, None]], 1)


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:  # (N, K, D + 1), (M, K, D + 1)
    """Scale each entry of the codes to mean 0 and variance 1 over the training images; the ones stay ones.

    An entry that does not vary is shifted to 0 but not scaled, as scikit-learn's StandardScaler does.
    """
    var, mean = torch.var_mean(train, 0, correction=0)
    scale = var.sqrt()
    scale[scale <= 1e-6 * mean.abs()] = 1.0  # the spread of a constant, up to rounding
    mean[:, -1] = 0.0
    return (train - mean).div_(scale), (test - mean).div_(scale)


def whiten(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:  # (N, K, D + 1), (M, K, D + 1), both standardised
    """Rotate codes to the principal axes of the training codes, with a variance of about 1 along each axis.

    Gradient descent is slow on codes with correlated entries, such as those of a sparse model.
    """
    white = train.clone(), test.clone()
    for k in range(train.shape[1]):
        codes = train[:, k, :-1]
        variances, axes = torch.linalg.eigh(codes.T @ codes / len(codes))
        axes /= (variances.clamp(min=0) + RIDGE).sqrt()
        for whitened, standardised in zip(white, (train, test), strict=True):
            whitened[:, k, :-1] = standardised[:, k, :-1] @ axes
    return white
