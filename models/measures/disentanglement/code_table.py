"""A table of codes and of the factors that the images were made from: what every disentanglement metric reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

ACTIVE_STD = 0.05
"""Standard deviation over images from which on a latent is active, as in disentanglement_lib's FactorVAE score."""

NUM_TRAIN, NUM_TEST = 10_000, 5_000
"""Points that a metric is fitted on, and scored on."""


@dataclass(frozen=True, eq=False)
class CodeTable:
    """Codes of images and the factors of the same images: codes (N, D), factors (N, K) integers from 0."""

    codes: Floats
    factors: Ints

    def __post_init__(self) -> None:
        assert len(self.codes) == len(self.factors), "each image has a code and its factors"

    @property
    def num_latents(self) -> int:
        """How many latents a code has, D."""
        return int(self.codes.shape[1])

    @property
    def num_factors(self) -> int:
        """How many factors an image has, K."""
        return int(self.factors.shape[1])

    def draw(self, rng: np.random.Generator, num: int) -> tuple[Floats, Ints]:  # -> (num, D), (num, K)
        """Draw images with replacement; return their codes and factors."""
        rows = rng.integers(len(self.codes), size=num)
        return self.codes[rows], self.factors[rows]

    def split(self, rng: np.random.Generator, *nums: int) -> list[tuple[Floats, Ints]]:  # each (num, D), (num, K)
        """Draw disjoint sets of so many images, none twice; of a smaller table sets of the same proportions.

        disentanglement_lib draws from the whole grid, with replacement, where few images come twice. In a smaller table
        more would, and noise that comes twice seems to tell which image it is.
        """
        share = min(1.0, len(self.codes) / sum(nums))
        ends = np.cumsum([int(num * share) for num in nums])
        rows = np.split(rng.permutation(len(self.codes))[: ends[-1]], ends[:-1])
        return [(self.codes[own], self.factors[own]) for own in rows]

    def draw_sharing(self, rng: np.random.Generator, factor: int, values: Ints) -> Floats:  # (...) -> (..., D)
        """Draw an image for each value of a factor, among those that have it, with replacement; return their codes."""
        order, starts = self._by_value[factor]
        first, num = starts[values], starts[values + 1] - starts[values]
        codes: Floats = self.codes[order[first + rng.integers(num)]]
        return codes

    @cached_property
    def _by_value(self) -> Sequence[tuple[Ints, Ints]]:
        """Of each factor the images sorted by its value, and where each value begins."""
        sorted_rows = [np.argsort(column, kind="stable") for column in self.factors.T]
        counts = [np.bincount(column) for column in self.factors.T]
        return [(rows, np.concatenate([[0], own.cumsum()])) for rows, own in zip(sorted_rows, counts, strict=True)]


def make_table(codes: Floats, factors: Ints) -> CodeTable:  # (N, D), (N, K)
    """Make a table of the factors that vary, their values numbered from 0 without gaps.

    Raises:
        ValueError: no factor varies.
    """
    columns = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    varying = [column for column in columns if column.max() > 0]
    if not varying:
        raise ValueError("the factors of the images do not vary, so there is nothing to disentangle")
    return CodeTable(codes, np.stack(varying, 1))


def find_active(codes: Floats) -> NDArray[np.bool_]:  # (N, D) -> (D,)
    """Find the latents whose standard deviation over images is at least ACTIVE_STD."""
    active: NDArray[np.bool_] = codes.std(0, dtype=np.float64, ddof=1) >= ACTIVE_STD
    return active


def prune(table: CodeTable) -> CodeTable:
    """Leave out the inactive latents; if none is active, one constant latent stands for them.

    A constant has by each metric the score that carries no information: 0, or chance.
    """
    active = find_active(table.codes)
    codes = table.codes[:, active] if active.any() else np.zeros((len(table.codes), 1), table.codes.dtype)
    return CodeTable(codes, table.factors)


def make_perfect_codes(factors: Ints) -> Floats:  # (N, K) -> (N, K)
    """Make the code of which each latent is one factor, with mean 0 and variance 1: the ceiling of every metric."""
    codes: Floats = (factors - factors.mean(0)) / factors.std(0)
    return codes


def make_noise_codes(rng: np.random.Generator, num_images: int, num_latents: int) -> Floats:  # -> (N, D)
    """Make a code of standard normal noise, which tells nothing of the image: the floor of every metric."""
    return rng.standard_normal((num_images, num_latents), np.float32)
