"""Factors of variation: what each image of a drawn dataset shows, and which image shows what."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.intp]
Indices = NDArray[np.intp]


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
