"""What `spikeslab bench` trains on: MNIST, where its files are found."""

from pathlib import Path

import numpy as np

from harness.datasets import load_dataset, locate_dataset


def write_images(folder: Path, data_dir: Path | None) -> Path | None:
    """MNIST's training images as an .npy file (N, 28, 28) in a folder; None where MNIST is not found.

    Raises:
        InputError: its files are damaged.
    """
    if locate_dataset("mnist", data_dir).folder is None:
        return None
    path = folder / "mnist.npy"
    np.save(path, np.asarray(load_dataset("mnist", data_dir).train_images).squeeze(1), allow_pickle=False)
    return path
