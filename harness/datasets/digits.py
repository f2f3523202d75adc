"""digits: the 1,797 handwritten digits that scikit-learn carries. Embedded: nothing to download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import Dataset, make_dataset
from harness.datasets.split import split_stratified

NAME = "digits"
NUM_TEST = 297  # the other 1,500 are for training
SPLIT_SEED = 20190101
SIDE = 8
MAX_INK = 16  # a pixel counts the inked pixels of a 4x4 block of the scan


def load_digits() -> Dataset:
    """Load the digits: 1,500 training images and 297 test images, always the same, stratified by class.

    Images are (N, 1, 8, 8) uint8: scikit-learn's 0..16 scaled to 0..255 and rounded.
    """
    table = _read_table()  # (1797, 65)
    images = np.rint(table[:, :-1] * (255 / MAX_INK)).astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
    labels = table[:, -1].astype(np.uint8)
    train, test = split_stratified(labels, NUM_TEST, SPLIT_SEED)
    return make_dataset(NAME, images[train], labels[train], images[test], labels[test])


def package_folder() -> Path:
    """The folder of scikit-learn, which contains the digits."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None, "scikit-learn is a requirement of spikeslab"  # noqa: PT018
    return Path(package.origin).parent


def _read_table() -> NDArray[np.float64]:
    """Read the table of digits, (1797, 65) float64: the 64 pixels of each image, 0..16, and its label."""
    path = package_folder() / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        # Importing scikit-learn takes two seconds, which every command would pay; its file is read in 30 ms.
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits as load

    return np.column_stack(load(return_X_y=True))
