"""Factors of variation: what each image of a drawn dataset shows, which image shows what, and what scores need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import InputError

Classes = NDArray[np.intp]
Indices = NDArray[np.intp]

MIN_IMAGES, MIN_SHARE = 20, 0.01
"""Images that do not have the most frequent value of a factor, at least: a score fits and tests on a part of them."""


@dataclass(frozen=True)
class Factors:
    """A grid of factors: one image for each combination of their values, numbered with the last factor fastest.

    names: of the factors. values: of each factor, in the order of its classes 0, 1, ...
    """

    names: tuple[str, ...]
    values: tuple[tuple[float, ...] | tuple[str, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each factor has."""
        return tuple(len(values) for values in self.values)

    @property
    def num_images(self) -> int:
        """How many combinations there are."""
        return math.prod(self.sizes)

    def to_classes(self, indices: Indices) -> Classes:  # (...) -> (..., factors)
        """Find the class of each factor in these images; raises ValueError if there is no such image."""
        return np.stack(np.unravel_index(indices, self.sizes), axis=-1)


def check_classes(dataset: str, names: Sequence[str], classes: Any, num_images: int) -> None:
    """Refuse factors of which no score of disentanglement can be made. classes: what was given as (N, factors).

    Raises:
        InputError: they are no classes of so many images, or vary too little.
    """
    where = f"dataset {dataset}: its factors"
    if classes is None:
        raise InputError(f"{where} are named, but not given; give their classes as a fifth array, (N, factors)")
    if not isinstance(classes, np.ndarray) or classes.dtype.kind not in "iu":
        what = f"an array of {classes.dtype}" if isinstance(classes, np.ndarray) else type(classes).__name__
        raise InputError(f"{where} are {what}; give a numpy array of integers, their classes")
    if classes.shape != (num_images, len(names)):
        raise InputError(
            f"{where} have the shape {classes.shape}; give a row for each of {num_images} training images, and a "
            f"column for each of {', '.join(names)}"
        )
    if len(names) < 2:
        raise InputError(f"{where} are {names[0]} alone, and scores tell factors apart; name two at least, or none")
    if classes.min() < 0:
        raise InputError(f"{where} have the class {classes.min()}; number the classes of each from 0")
    for name, column in zip(names, classes.T, strict=True):
        rest = num_images - np.unique(column, return_counts=True)[1].max()
        if rest < (needed := max(MIN_IMAGES, math.ceil(MIN_SHARE * num_images))):
            raise InputError(
                f"{where} include {name}, which is the same in all training images but {rest}, and scores need "
                f"{needed}; leave it out"
            )
