"""How torch computes while a model trains or is measured: on one thread, without denormal numbers, in one mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def computing() -> Iterator[None]:
    """One thread inside, and denormal numbers are zero; outside, both are as before.

    One thread adds sums in the same order on every machine and beside any neighbour. Denormal numbers (below 1.2e-38)
    come up where a latent is all but off: in Adam's moments, then in the parameters. A processor from Intel takes
    twice as long for a step then. The flushing belongs to the thread that calls, and with one thread that one computes.
    """
    num_threads, flushed = torch.get_num_threads(), is_flushing_denormals()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(num_threads)


def is_flushing_denormals() -> bool:
    """Whether this thread takes denormal numbers for zero; torch can set that, but does not tell it."""
    return float(torch.full((), 1e-39) * 1) == 0.0


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """As `computing`, with the model in evaluation mode inside and in the mode it had before outside."""
    was_training = model.training
    if was_training:  # to change it costs as much as a small model's layer
        model.eval()
    try:
        with computing():
            yield
    finally:
        if was_training:
            model.train()
