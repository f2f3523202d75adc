"""How many threads torch computes with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread inside: sums are then added in the same order on every machine and beside any neighbour."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, the mode it had before outside. To change it costs as much as a small model's layer."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
