"""Work on a GPU that is recorded once and then replayed: hundreds of kernels cost the launch of one."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def is_same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors without gaps are the same numbers in memory, so that work recorded on one serves the other.

    Those of the first rows of a tensor alone begin at its address, too.
    """
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


@cache
def _make_stream() -> torch.cuda.Stream:
    """Make the one stream of all warm-ups, as libraries keep some memory for each stream."""
    return torch.cuda.Stream()


class Recording:
    """The CUDA graph of some work, which reads and writes tensors at fixed addresses and waits for no result."""

    def __init__(self) -> None:
        self._graph: torch.cuda.CUDAGraph | None = None
        self._is_warm = False

    @property
    def is_recorded(self) -> bool:
        """Whether the work is replayed by now."""
        return self._graph is not None

    def run(self, work: Callable[[], None]) -> None:
        """Do the work once. It must be the same at each call.

        It is not stored, as it refers to whoever holds this recording: the cycle would delay the release of memory.
        """
        if not self._is_warm:
            # The first run is not recorded: in it libraries are initialised and kernels compiled. It counts as well.
            stream = _make_stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                work()
            torch.cuda.current_stream().wait_stream(stream)
            self._is_warm = True
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # this records the work without doing it
                work()
        self._graph.replay()
