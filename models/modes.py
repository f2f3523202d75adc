"""Whether a model trains or is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


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
