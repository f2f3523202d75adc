"""The classes of a dataset's images, as classifiers number them."""

import torch
from torch import Tensor


def number_classes(*labels: Tensor) -> tuple[Tensor, ...]:  # each (.,) integers -> each (.,) int64
    """Number classes from 0 without gaps, in their order, the same in all sets of labels.

    A number that no image has would be a class to classifiers: of drawn faces 0 stands for an absent attribute.
    """
    numbers: Tensor = torch.cat(labels).unique(return_inverse=True)[1]
    return tuple(numbers.split([len(some) for some in labels]))
