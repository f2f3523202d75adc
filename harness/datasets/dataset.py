"""A dataset: its images and labels, where it was found, and whether its files are right."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.datasets.factors import check_classes
from harness.datasets.packed import ImageArray
from harness.datasets.split import Indices, split_stratified
from harness.errors import InputError

Rows = Indices | slice
"""Which images of an array."""


class DatasetIdentity(Protocol):
    """What a plan of trials needs to know of a dataset; it is known without the dataset's files."""

    @property
    def name(self) -> str:
        """Its name in study files."""

    @property
    def content_hash(self) -> str:
        """See Dataset.content_hash."""

    @property
    def num_train(self) -> int:
        """How many training images there are."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @property
    def factors(self) -> tuple[str, ...]:
        """The names of the factors that the images were made from; none where they are not known."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, in memory or in memory maps.

    train_images, test_images: (N, C, H, W) uint8, 0 is black and 255 white.
    Training images can be packed, as those of `PackedArray` are.
    train_labels, test_labels: (N,) uint8.
    content_hash: SHA-256 of the arrays' content in hex, which does not depend on how the files are compressed.
    factors: the names of the factors that the images were made from; none where they are not known.
    train_factors: the classes of the factors of the training images, (N, factors), from 0; None where not known.

    The arrays are read-only, as are those from Ray's object store: copy an array to change it.
    """

    name: str
    train_images: ImageArray
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    content_hash: str
    factors: tuple[str, ...] = field(default=(), kw_only=True)
    train_factors: NDArray[np.integer[Any]] | None = field(default=None, kw_only=True)

    @property
    def num_train(self) -> int:
        """How many training images there are."""
        return len(self.train_images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    @property
    def kept(self) -> tuple[str, ...]:
        """Where its images are on the disk, for `find_lack`: as words, for a machine of other code; none in memory."""
        return ()

    @property
    def has_classes(self) -> bool:
        """Whether the training labels tell images apart."""
        return bool((self.train_labels != self.train_labels[:1]).any())

    def hold_out(self, num_held_out: int, seed: int) -> tuple[Rows, Rows]:
        """Choose training images to hold out, the same on every machine; returns those that stay and those held out."""
        return split_stratified(self.train_labels, num_held_out, seed)


def make_dataset(
    name: str,
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.uint8],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.uint8],
    *,
    factors: Sequence[str] = (),
    train_factors: NDArray[np.integer[Any]] | None = None,
) -> Dataset:
    """Make a dataset of arrays, which is identified by their content.

    factors, train_factors: see Dataset.

    Raises:
        InputError: they are not bytes, their shapes do not fit each other, their pixels are 0 and 1, or no score can be
            made of the factors.
    """
    arrays = train_images, train_labels, test_images, test_labels
    if not all(isinstance(array, np.ndarray) and array.dtype == np.uint8 for array in arrays):
        raise InputError(
            f"dataset {name}: its images and labels should be arrays of bytes; give numpy arrays of uint8, "
            "pixels from 0 to 255"
        )
    shapes = [array.shape for array in arrays]
    fits = shapes[0][1:] == shapes[2][1:] and len(shapes[0]) == 4
    if not fits or not all(images[:1] == labels for images, labels in (shapes[:2], shapes[2:])):
        raise InputError(
            f"dataset {name}: its arrays have the shapes {', '.join(map(str, shapes))}; give images (N, C, H, W) and "
            "labels (N,), for training and for the test"
        )
    if not len(train_images) or not len(test_images):
        raise InputError(f"dataset {name}: it has no images to train or to test on; give some")
    if (channels := shapes[0][1]) not in (1, 3):
        raise InputError(f"dataset {name}: its images have {channels} channels; give 1 (grey) or 3 (red, green, blue)")
    if (brightest := train_images.max(initial=0)) <= 1:
        raise InputError(f"dataset {name}: its brightest pixel is {brightest} of 255; multiply its images by 255")
    # Training reads rows where they lie. Of a map on the disk this is a view, which other processes get as an array.
    train, labels, test, test_labels = map(np.ascontiguousarray, arrays)
    content = hashlib.sha256()
    for array in (train, labels, test, test_labels):
        array.setflags(write=False)
        content.update(repr(array.shape).encode() + array.tobytes())
    if factors:
        check_classes(name, factors, train_factors, len(train_images))
        train_factors = np.array(train_factors, np.int64)  # the same hash however many bytes a class took
        train_factors.setflags(write=False)
        content.update(repr(train_factors.shape).encode() + train_factors.tobytes())
    return Dataset(
        name, train, labels, test, test_labels, content.hexdigest(), factors=tuple(factors), train_factors=train_factors
    )


@dataclass(frozen=True)
class Location:
    """Where a dataset was found.

    folder: the folder that holds its files; None if no folder does, or if the dataset is embedded.
    searched: the folders that were searched, in order, each with its subfolders `<name>`,
        `<torchvision's name>`, `raw` and those of these names in them.
    embedded: the dataset comes with an installed package and has no files of its own.
    """

    name: str
    folder: Path | None
    searched: tuple[Path, ...]
    embedded: bool


@dataclass(frozen=True)
class FileCheck:
    """One file of a dataset, and a sentence that says what is wrong with its bytes, if anything is."""

    path: Path
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the file."""
        return self.problem is None
