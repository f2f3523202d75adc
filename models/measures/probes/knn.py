"""The probe knn: a vote of the five nearest training images."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from models.numerics.onednn import multiply

NUM_NEIGHBOURS = 5

BLOCK_SIZE = 100
"""Test images per block, so that their distances to 60,000 training images fit into the cache."""


def classify_by_neighbours(x: Tensor, y: Tensor, test: Tensor, *, num_classes: int) -> Tensor:
    """Predict the most frequent class among the nearest codes, the lowest class of a tie; -> (K, M).

    x: (N, K, D + 1). y: (N,). test: (M, K, D + 1).

    The distance is Euclidean, between codes that are not standardised: if they were, unused latents would count as much
    as used ones.
    """
    return torch.stack([_vote(x[:, k, :-1], y, test[:, k, :-1], num_classes) for k in range(x.shape[1])])


def _vote(x: Tensor, y: Tensor, test: Tensor, num_classes: int) -> Tensor:  # (N, D), (N,), (M, D) -> (M,)
    centre = x.mean(0)  # centred, products lose fewer digits
    x = x - centre
    # |t - x|^2 = |t|^2 - 2 (t x - |x|^2 / 2), and |t|^2 is the same for all x.
    offset = x.square().sum(1).mul_(-0.5)
    num = min(NUM_NEIGHBOURS, len(x))
    nearest = [multiply(block, x, offset).topk(num).indices for block in (test - centre).split(BLOCK_SIZE)]
    return one_hot(y[torch.cat(nearest)], num_classes).sum(1).argmax(1)
