"""Contexts in which models train and are measured: one thread, no denormal numbers, evaluation mode."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class _Convolutions:
    """How convolutions compute on a GPU, a setting of the whole process, where several threads may compute at a time.

    The first to begin sets it, and the last to end restores it: each by itself would restore what another had set.
    """

    def __init__(self) -> None:
        self._lock, self._num_computing, self._before = threading.Lock(), 0, (False, True)

    def begin(self) -> None:
        cudnn = torch.backends.cudnn
        with self._lock:
            if not self._num_computing:
                self._before = cudnn.deterministic, cudnn.allow_tf32
                cudnn.deterministic, cudnn.allow_tf32 = True, False
            self._num_computing += 1

    def end(self) -> None:
        cudnn = torch.backends.cudnn
        with self._lock:
            self._num_computing -= 1
            if not self._num_computing:
                cudnn.deterministic, cudnn.allow_tf32 = self._before


_convolutions = _Convolutions()


@contextmanager
def computing() -> Iterator[None]:
    """Compute on one thread, with denormal numbers flushed to zero; afterwards restore all settings.

    One thread adds sums in the same order on every machine, whatever else runs. Denormal numbers (below 1.2e-38) occur
    in Adam's moments, then in the parameters, of a latent that is nearly off; with them a step takes twice as long on
    an Intel processor. Flushing is a setting of the calling thread, which is the one that computes.

    On a GPU of NVIDIA's convolutions add in the same order each time and are of float32 in full: torch's defaults are
    not. `multiplying` lets them round.
    """
    num_threads, flushed = torch.get_num_threads(), is_flushing_denormals()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _convolutions.begin()
    try:
        yield
    finally:
        _convolutions.end()
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(num_threads)


def is_flushing_denormals() -> bool:
    """Whether this thread flushes denormal numbers to zero. torch can set that but not return it."""
    return float(torch.full((), 1e-39) * 1) == 0.0


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Compute as in `computing`, with the model in evaluation mode; afterwards restore the model's mode."""
    was_training = model.training
    if was_training:  # a change of mode costs as much as a small model's layer
        model.eval()
    try:
        with computing():
            yield
    finally:
        if was_training:
            model.train()
