"""Random streams that belong to one trial: nothing here, or built on it, reads torch's global generator."""

import hashlib

import torch


def make_stream(seed: int, purpose: str, epoch: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the trial's seed, on what it is for and on the epoch, and on nothing else.

    Because every epoch starts streams of its own, a checkpoint taken between epochs needs no generator state,
    and evaluating more or less often cannot shift the noise of training.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    # torch's CPU generator keeps the low 32 bits of its seed only; a hash spreads well over those.
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "big") >> 1)
