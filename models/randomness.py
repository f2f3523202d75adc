"""Random numbers that depend on one trial's seed only; torch's global generator is never read."""

import hashlib
import math
from typing import Protocol

import torch
from torch import Tensor


def _signed(bits: int) -> int:
    """Convert the last 64 bits to an int64, as torch takes; its sums and products wrap around to the same bits."""
    return (bits + 2**63) % 2**64 - 2**63


IMAGES_SEED = 20190102
"""Seed of the choices that all trials of a dataset share: images held out, shown or edited."""

MAX_WIDTH = 2**20
"""Largest number of elements in a row of noise."""

# Constants of SplitMix64.
STEP, MIX_1, MIX_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
ROW_STEP = _signed(MAX_WIDTH * STEP)


def make_stream(seed: int, purpose: str, epoch: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator that depends on the trial's seed, on its purpose and on the epoch, and on nothing else.

    Because every epoch starts new streams, a checkpoint taken between epochs needs no generator state,
    and evaluating more or less often cannot shift the noise of training.
    """
    # torch's CPU generator keeps only the low 32 bits of its seed; a hash spreads well over those.
    return torch.Generator(device).manual_seed(make_key(seed, purpose, epoch) >> 1)


def make_key(seed: int, purpose: str, epoch: int = 0) -> int:
    """Hash the trial's seed, the purpose and the epoch to 64 bits."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def make_row_keys(keys: list[int], num_rows: int) -> Tensor:  # -> (len(keys), num_rows) int64
    """Make the key of every row of noise, for the streams of several keys side by side."""
    return torch.tensor([_signed(key) for key in keys])[:, None] + torch.arange(num_rows) * ROW_STEP


def make_offsets(width: int, device: torch.device | str = "cpu") -> Tensor:  # -> (width,) int64
    """Make the number that each place in a row adds to the row's key."""
    return torch.arange(width, device=device) * STEP


def draw_noise(counters: Tensor) -> tuple[Tensor, Tensor]:  # (...) int64 -> twice (...) float32
    """Draw a standard normal number and one uniform in [0, 1) for every counter: a row's key plus a place's offset.

    A trial's noise is therefore the same alone and in a stack, in any slot, on any device, at any padding. The bits are
    those of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), started at
    the stream's key, at the element's position. The normal number is the inverse distribution function of 23 bits, the
    uniform number is made of 24 others.
    """
    bits = _mix(counters)
    # The middle of one of 2^23 cells of (-1, 1): never an end, where the inverse is infinite.
    centred = (bits >> 41).bitwise_and_(2**23 - 1).to(torch.float32).mul_(2.0**-22).add_(2.0**-23 - 1)
    return centred.erfinv_().mul_(math.sqrt(2)), _take_uniform(bits)


def draw_uniform(counters: Tensor) -> Tensor:  # (...) int64 -> (...) float32
    """Draw the uniform number of `draw_noise` alone, in [0, 1)."""
    return _take_uniform(_mix(counters))


def _mix(counters: Tensor) -> Tensor:  # (...) int64 -> (...) int64
    # The shifts must be logical, but torch's keep the sign: the masks remove it.
    bits = counters ^ (counters >> 30).bitwise_and_(2**34 - 1)
    bits *= MIX_1
    bits ^= (bits >> 27).bitwise_and_(2**37 - 1)
    bits *= MIX_2
    bits ^= (bits >> 31).bitwise_and_(2**33 - 1)
    return bits


def _take_uniform(bits: Tensor) -> Tensor:
    return (bits >> 17).bitwise_and_(2**24 - 1).to(torch.float32).mul_(2.0**-24)


class Noise(Protocol):
    """A source of random numbers for samples."""

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers uniform in [0, 1)."""


class StreamNoise:
    """Noise from a torch generator, one draw after the other; measures use it."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def normal(self, *shape: int) -> Tensor:
        """Draw the generator's next normal numbers, on the generator's device."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)

    def uniform(self, *shape: int) -> Tensor:
        """Draw the generator's next uniform numbers, on the generator's device."""
        return torch.rand(shape, generator=self._generator, device=self._generator.device)


class CounterNoise:
    """Noise of one batch by `draw_noise`, used in training: each number depends on its image's key and its place only.

    The first draw of each kind begins at place 0, as in a stack; each further draw begins where the last one ended.
    """

    def __init__(self, row_keys: Tensor) -> None:
        """row_keys: (B,) int64, part of a row of `make_row_keys`."""
        self._row_keys = row_keys
        self._normal_at = self._uniform_at = 0

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers (B, ...), a row for each image of the batch."""
        noise, self._normal_at = self._draw(shape, self._normal_at)
        return noise[0].view(shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers uniform in [0, 1), (B, ...), a row for each image of the batch."""
        noise, self._uniform_at = self._draw(shape, self._uniform_at)
        return noise[1].view(shape)

    def _draw(self, shape: tuple[int, ...], first: int) -> tuple[tuple[Tensor, Tensor], int]:
        assert shape[0] == len(self._row_keys), "noise is drawn for the images of the batch"
        width = math.prod(shape[1:])
        assert first + width <= MAX_WIDTH
        offsets = make_offsets(first + width, self._row_keys.device)[first:]
        return draw_noise(self._row_keys[:, None] + offsets), first + width
