"""Random numbers that belong to one trial: nothing here, or built on it, reads torch's global generator."""

import hashlib
import math

import torch
from torch import Tensor


def _signed(bits: int) -> int:
    """The last 64 bits as the signed number that torch computes with; its sums and products wrap around alike."""
    return (bits + 2**63) % 2**64 - 2**63


MAX_WIDTH = 2**20
"""So many elements can a row of noise have."""

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
