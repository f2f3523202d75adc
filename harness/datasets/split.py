"""Hold out images, stratified by class: the same images on every machine."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def split_stratified(labels: NDArray[np.uint8], num_held_out: int, seed: int) -> tuple[Indices, Indices]:
    """Split images by class; returns the indices of those that stay and of those held out, each shuffled.

    labels: (N,). Each class is held out in proportion to its size, to within one image.
    """
    # PCG64's raw draws, because NumPy guarantees that they never change; the shuffle of a Generator may change.
    keys = np.random.PCG64(seed).random_raw(len(labels))
    by_class = np.lexsort((keys, labels))
    held_out = np.zeros(len(labels), dtype=bool)
    # Equally spaced positions of a list sorted by class.
    held_out[by_class[np.arange(num_held_out) * len(labels) // max(num_held_out, 1)]] = True
    shuffled = np.argsort(keys)
    return shuffled[~held_out[shuffled]], shuffled[held_out[shuffled]]
