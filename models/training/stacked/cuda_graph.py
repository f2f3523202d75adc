"""What makes a step cheap on a GPU: steps replayed as a graph, and elementwise work compiled into single kernels."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

GRAPH_STEPS = 25
"""Steps captured in one CUDA graph: the host is then needed 75 times in an epoch of MNIST."""


class Plan(NamedTuple):
    """What some models need to know for some steps besides the images, each with a row for every model."""

    order: Tensor  # (K, images) int64: which image comes when
    keys: Tensor  # (K, images) int64: of each image's noise
    sharpness: Tensor  # (K, steps)

    def to(self, device: torch.device) -> "Plan":
        """The same on a device."""
        return Plan(*(part.to(device) for part in self))

    def split(self, batch_size: int, num_steps: int = 1) -> list["Plan"]:
        """Parts of `num_steps` steps each."""
        parts = (self.order.split(num_steps * batch_size, 1), self.keys.split(num_steps * batch_size, 1))
        return list(map(Plan, *parts, self.sharpness.split(num_steps, 1)))


def compile_elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one kernel; as it is where the machine lacks what compiling takes."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.recompile_limit = 64  # a few shapes for each link and each size of a stack
    logging.getLogger("torch._dynamo").setLevel(logging.CRITICAL)  # what cannot be compiled runs all the same
    compiled: Callable[..., Any] = torch.compile(function)
    return compiled


@cache
def _make_stream() -> torch.cuda.Stream:
    """One stream for all warm-ups: on each stream, libraries keep memory of their own."""
    return torch.cuda.Stream()


class StepGraph:
    """Some steps as one CUDA graph, over buffers that are filled before each replay."""

    def __init__(self, images: Tensor, num_models: int, batch_size: int) -> None:
        """images: those that the steps read."""
        self.images = images
        self._batch_size = batch_size
        order = torch.zeros(num_models, GRAPH_STEPS * batch_size, dtype=torch.int64, device=images.device)
        sharpness = torch.zeros(num_models, GRAPH_STEPS, device=images.device)
        self._plan = Plan(order, torch.zeros_like(order), sharpness)
        self._totals = torch.zeros(GRAPH_STEPS, num_models, 2, device=images.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._is_warm = False

    def run(self, train: Callable[[Plan, Tensor], None], plan: Plan, totals: Tensor) -> int:
        """As many steps as fill whole graphs; returns how many. totals: (steps, members, 2), to be filled.

        train: trains all models for the steps of a plan and fills (steps, K, 2). It is the same at each call, but not
        kept: it holds the stack that holds this graph, and their memory would be freed much later than it could be.
        """
        chunk = GRAPH_STEPS * self._batch_size
        num_chunks = plan.order.shape[1] // chunk
        for c in range(num_chunks):
            for part, buffer in zip(plan, self._plan, strict=True):
                width = buffer.shape[1]
                buffer.copy_(part[:, c * width : (c + 1) * width])
            self._replay(train)
            totals[c * GRAPH_STEPS : (c + 1) * GRAPH_STEPS] = self._totals[:, : totals.shape[1]]
        return num_chunks * GRAPH_STEPS

    def _replay(self, train: Callable[[Plan, Tensor], None]) -> None:
        if not self._is_warm:
            # Libraries set themselves up, and kernels are compiled, in a first run that is not captured. It trains.
            stream = _make_stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                train(self._plan, self._totals)
            torch.cuda.current_stream().wait_stream(stream)
            self._is_warm = True
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # this only records
                train(self._plan, self._totals)
        self._graph.replay()
