"""Random numbers that belong to one trial: nothing here, or built on it, reads torch's global generator."""

import hashlib
import math
from typing import Protocol

import torch
from torch import Tensor


def _signed(bits: int) -> int:
    """The last 64 bits as the signed number that torch computes with; its sums and products wrap around alike."""
    return (bits + 2**63) % 2**64 - 2**63


IMAGES_SEED = 20190102
"""Of what is chosen once for all trials of a dataset: images held out, shown or edited."""

MAX_WIDTH = 2**20
"""The most numbers that a row of noise can have."""

STEP, MIX_1, MIX_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))  # SplitMix64's
ROW_STEP = _signed(MAX_WIDTH * STEP)


def make_stream(seed: int, purpose: str, epoch: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the trial's seed, on what it is for and on the epoch, and on nothing else.

    Because every epoch starts streams of its own, a checkpoint taken between epochs needs no generator state,
    and evaluating more or less often cannot shift the noise of training.
    """
    # torch's CPU generator keeps the low 32 bits of its seed only; a hash spreads well over those.
    return torch.Generator(device).manual_seed(make_key(seed, purpose, epoch) >> 1)


def make_key(seed: int, purpose: str, epoch: int = 0) -> int:
    """64 bits that depend on the trial's seed, on what they are for and on the epoch, and on nothing else."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def make_row_keys(keys: list[int], num_rows: int) -> Tensor:  # -> (len(keys), num_rows) int64
    """The keys under which each row of noise is drawn, for some streams side by side."""
    return torch.tensor([_signed(key) for key in keys])[:, None] + torch.arange(num_rows) * ROW_STEP


def make_offsets(width: int, device: torch.device | str = "cpu") -> Tensor:  # -> (width,) int64
    """What the place in a row adds to the row's key."""
    return torch.arange(width, device=device) * STEP


def draw_noise(counters: Tensor) -> tuple[Tensor, Tensor]:  # (...) int64 -> twice (...) float32
    """A standard normal and a uniform number in [0, 1) for every element, from its row's key plus its place's offset.

    So a trial's noise is the same alone and in a stack, in whichever slot, on whichever device, however wide the
    stack is padded. The bits are those of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
    Generators, OOPSLA 2014), started at the stream's key, at the element's position; the normal is the inverse
    distribution function of 23 of them, the uniform number is 24 others.
    """
    # The shifts must be logical, and torch's keep the sign: hence the masks.
    bits = counters ^ (counters >> 30).bitwise_and_(2**34 - 1)
    bits *= MIX_1
    bits ^= (bits >> 27).bitwise_and_(2**37 - 1)
    bits *= MIX_2
    bits ^= (bits >> 31).bitwise_and_(2**33 - 1)
    # The middle of each of 2^23 cells: never 0 or 1, where the inverse is infinite.
    centred = (bits >> 41).bitwise_and_(2**23 - 1).to(torch.float32).mul_(2.0**-22).add_(2.0**-23 - 1)
    uniform = (bits >> 17).bitwise_and_(2**24 - 1).to(torch.float32).mul_(2.0**-24)
    return centred.erfinv_().mul_(math.sqrt(2)), uniform


class Noise(Protocol):
    """Where samples get their random numbers from."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1)."""


class StreamNoise:
    """Noise from a generator, one draw after the other: for what is measured."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def normal(self, *shape: int) -> Tensor:
        """The generator's next normal numbers, on its device."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)

    def uniform(self, *shape: int) -> Tensor:
        """The generator's next uniform numbers, on its device."""
        return torch.rand(shape, generator=self._generator, device=self._generator.device)


class CounterNoise:
    """Noise of one batch by `draw_noise`: each number from its image's key and its place, whoever else trains.

    The first draw of each kind begins at place 0, as in a stack; a further draw goes on where the last one ended.
    """

    def __init__(self, row_keys: Tensor) -> None:
        """row_keys: (B,) int64, a row of `make_row_keys`."""
        self._row_keys = row_keys
        self._normal_at = self._uniform_at = 0

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (B, ...): the first dimension is that of the images."""
        noise, self._normal_at = self._draw(shape, self._normal_at)
        return noise[0].view(shape)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), (B, ...)."""
        noise, self._uniform_at = self._draw(shape, self._uniform_at)
        return noise[1].view(shape)

    def _draw(self, shape: tuple[int, ...], first: int) -> tuple[tuple[Tensor, Tensor], int]:
        assert shape[0] == len(self._row_keys), "noise is drawn for the images of the batch"
        width = math.prod(shape[1:])
        assert first + width <= MAX_WIDTH
        offsets = make_offsets(first + width, self._row_keys.device)[first:]
        return draw_noise(self._row_keys[:, None] + offsets), first + width
