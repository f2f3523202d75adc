"""Hold images out of a set, of each class its share, the same ones on every machine."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def split_stratified(labels: NDArray[np.uint8], num_held_out: int, seed: int) -> tuple[Indices, Indices]:
    """Indices of the images that stay and of those held out, each shuffled; each class gives its share.

    labels: (N,). The shares are right to within one image.
    """
    # Raw draws of PCG64, because NumPy promises that they never change; a Generator's shuffle may.
    keys = np.random.PCG64(seed).random_raw(len(labels))
    by_class = np.lexsort((keys, labels))
    held_out = np.zeros(len(labels), dtype=bool)
    # Equally spaced places of a list sorted by class.
    held_out[by_class[np.arange(num_held_out) * len(labels) // max(num_held_out, 1)]] = True
    shuffled = np.argsort(keys)
    return shuffled[~held_out[shuffled]], shuffled[held_out[shuffled]]
