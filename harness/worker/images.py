"""The images of one trial, as tensors on the device that trains it."""

import mmap
import os
import warnings
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.datasets import Dataset
from harness.datasets.packed import ImageArray, PackedArray
from models.choices import ImageShape
from models.pixels import HeldImages, ImageBytes, PackedImages, binarise_once
from models.randomness import IMAGES_SEED


@dataclass(frozen=True)
class Images:
    """What one trial trains and is measured on, each (N, C, H, W) uint8, on the device that trains.

    Where pixels are binary, the images that it is measured on are black and white, drawn once, the same for all trials;
    those that it trains on are grey still, as the trainer draws theirs. Those that the dataset holds packed stay so.
    """

    train: ImageBytes
    validation: Tensor | None
    test: Tensor
    train_labels: Tensor  # (N,) of the images trained on
    test_labels: Tensor  # (N,)
    shape: ImageShape
    is_binary: bool = False
    train_factors: NDArray[np.integer[Any]] | None = None  # (N, factors) of the images trained on, where known

    @classmethod
    def of(cls, dataset: Dataset, num_validation: int, device: str, *, is_binary: bool = False) -> "Images":
        """Make tensors of a dataset's images, and hold out some of the training images."""
        train, labels, validation = dataset.train_images, dataset.train_labels, None
        factors = dataset.train_factors
        if num_validation:
            kept, held_out = dataset.hold_out(num_validation, IMAGES_SEED)
            validation = _as_tensor(np.asarray(train[held_out])).to(device)
            train, labels = train[kept], labels[kept]
            factors = None if factors is None else factors[kept]
        _, channels, height, width = dataset.test_images.shape
        test = _as_tensor(dataset.test_images).to(device)
        if is_binary:
            test = binarise_once(test, "test")
            validation = None if validation is None else binarise_once(validation, "validation")
        return cls(
            _hold(train, device),
            validation,
            test,
            _as_labels(labels),
            _as_labels(dataset.test_labels),
            (channels, height, width),
            is_binary,
            factors,
        )

    @property
    def labelled(self) -> tuple[ImageBytes, Tensor, Tensor, Tensor]:
        """Training images and labels, test images and labels."""
        train = self.train_as_measured
        if isinstance(train, StoredImages):
            train = train.whole
        return train, self.train_labels, self.test, self.test_labels

    @property
    def train_as_measured(self) -> ImageBytes:
        """Training images as a trial is measured on them: where pixels are binary, they are drawn once."""
        if not self.is_binary:
            return self.train
        train = self.train.whole if isinstance(self.train, StoredImages) else self.train
        return binarise_once(train, "train") if isinstance(train, Tensor) else train  # packed ones are black and white


class StoredImages(HeldImages):
    """Images of a memory map, read from its file, of which nothing is mapped then.

    They stay in the machine's cache of files, which all trials share. What a process has touched of a map counts as
    its own memory, in the end all of it.
    """

    def __init__(self, images: np.memmap[Any, Any]) -> None:
        self.whole = _as_tensor(images)
        self._file = os.open(str(images.filename), os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        first_mapped = np.frombuffer(images._mmap, np.uint8).ctypes.data  # type: ignore[attr-defined]
        mapped_from = images.offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        self._start, self._size = images.ctypes.data - first_mapped + mapped_from, images[0].nbytes

    @property
    def shape(self) -> torch.Size:
        """See HeldImages."""
        return self.whole.shape

    @property
    def device(self) -> torch.device:
        """See HeldImages."""
        return self.whole.device

    def __getitem__(self, index: Tensor) -> Tensor:
        read = np.empty((len(index), self._size), np.uint8)
        for row, number in zip(read, index.tolist(), strict=True):
            content = os.pread(self._file, self._size, self._start + number * self._size)
            if len(content) < self._size:
                raise OSError(f"the file of the images ends before image {number}: it was cut after training began")
            row[:] = np.frombuffer(content, np.uint8)
        return torch.from_numpy(read).view(-1, *self.shape[1:])


def _hold(images: ImageArray, device: str) -> ImageBytes:
    """Hold training images on the device: packed, in their file, or as a tensor."""
    if isinstance(images, PackedArray):
        return PackedImages(_as_tensor(images.bits)).to(device)
    if isinstance(images, np.memmap) and device == "cpu" and hasattr(os, "pread"):  # not on Windows
        return StoredImages(images)
    return _as_tensor(images).to(device)


def _as_tensor(images: NDArray[np.uint8]) -> Tensor:  # (N, C, H, W) -> (N, C, H, W)
    with warnings.catch_warnings():
        # The images may be in memory that all trials of the machine share, which is read-only; we only read them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def _as_labels(labels: NDArray[np.integer[Any]]) -> Tensor:  # (N,) -> (N,)
    return torch.from_numpy(labels.astype(np.int64))
