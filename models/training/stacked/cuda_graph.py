"""Cheap steps on a GPU: steps are replayed as a graph, and elementwise work is compiled into single kernels."""

import warnings
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from models.numerics.machine import is_out_of_memory
from models.numerics.recording import Recording

Function = TypeVar("Function", bound=Callable[..., Any])

GRAPH_STEPS = 25
"""Steps captured in one CUDA graph: the host launches 75 in an epoch of MNIST. What is left of one has another."""


COMPILED = "compiled"
OUTCOMES: dict[str, str] = {}
"""What came of compiling each function for a GPU, by name, in this process: COMPILED, or why it was not."""


class Plan(NamedTuple):
    """The inputs of some steps besides the images and parameters, with a row for each of K models."""

    order: Tensor  # (K, images) int64: indices of the images, in the order in which they are trained on
    keys: Tensor  # (K, images) int64: keys of each image's noise
    sharpness: Tensor  # (K, steps), of the relaxed spikes
    pixel_keys: Tensor  # (K, steps) int64: the key that binarises the epoch's images, where they are to be binary

    def to(self, device: torch.device) -> "Plan":
        """Copy the plan to a device."""
        return Plan(*(part.to(device) for part in self))

    def split(self, batch_size: int, num_steps: int = 1) -> list["Plan"]:
        """Split the plan into parts of `num_steps` steps."""
        by_image = (part.split(num_steps * batch_size, 1) for part in (self.order, self.keys))
        by_step = (part.split(num_steps, 1) for part in (self.sharpness, self.pixel_keys))
        return list(map(Plan, *by_image, *by_step))

    def after(self, num_steps: int, batch_size: int) -> "Plan":
        """Return what is left of the plan after its first steps."""
        first = num_steps * batch_size
        left = (
            self.order[:, first:],
            self.keys[:, first:],
            self.sharpness[:, num_steps:],
            self.pixel_keys[:, num_steps:],
        )
        return Plan(*left)


def compile_elementwise(function: Function, device: torch.device) -> Function:
    """Compile a function into one kernel on a GPU; return it as it is elsewhere.

    Where compiling fails the function runs as it is, which takes longer: a warning says so, once, and `OUTCOMES` why.
    One of which the compiler keeps enough shapes already runs compiled for those, and as it is for others.
    """
    if device.type != "cuda":
        return function
    import torch._dynamo
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch.fx.experimental import _config as shapes

    torch._dynamo.config.recompile_limit = 64  # a shape or two for each link, clamp and precision
    # One kernel for batches of every size, an epoch's last one as well, lest sums be added in another order after it.
    shapes.use_duck_shape = False  # nor one for sizes that are equal by chance, as of a stack and a batch
    compiled = torch.compile(function, fullgraph=True, dynamic=True)
    name, is_failed = function.__name__, False

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_failed
        if is_failed:
            return function(*args, **kwargs)
        try:  # what is raised below comes before anything was computed
            result = compiled(*args, **kwargs)
        except FailOnRecompileLimitHit as error:
            _note_failure(name, error)
            return function(*args, **kwargs)
        except TorchDynamoException as error:
            if is_out_of_memory(error):
                raise
            is_failed = True
            _note_failure(name, error)
            return function(*args, **kwargs)
        OUTCOMES.setdefault(name, COMPILED)
        return result

    return cast("Function", run)


def describe_failure() -> str | None:
    """Say what could not be compiled for a GPU in this process, the first of it, if anything."""
    for name, reason in find_failures().items():
        return f"steps take longer than they need, as {name} could not be compiled for the graphics card: {reason}"
    return None


def find_failures() -> dict[str, str]:
    """Why functions could not be compiled for a GPU in this process, by name."""
    return {name: outcome for name, outcome in OUTCOMES.items() if outcome != COMPILED}


def _note_failure(name: str, error: Exception) -> None:
    """Keep why a function could not be compiled, or not for all shapes; the first of a process is warned of."""
    cause = getattr(error, "inner_exception", None) or error.__cause__ or error
    reason = f"{type(cause).__name__}: {cause}".strip().splitlines()[0]
    is_first = describe_failure() is None
    OUTCOMES[name] = reason  # first, as a warning may be an error
    if is_first:
        warnings.warn(str(describe_failure()), stacklevel=3)


class StepGraph:
    """Some steps as one CUDA graph, which reads buffers that are filled before each replay."""

    def __init__(self, images: Tensor, num_models: int, batch_size: int, num_steps: int | None = None) -> None:
        """images: those that the steps train on, at a fixed address. num_steps: of the graph; None: GRAPH_STEPS."""
        self.images, self.num_steps = images, num_steps or GRAPH_STEPS
        self._num_models, self._batch_size = num_models, batch_size
        order = torch.zeros(num_models, self.num_steps * batch_size, dtype=torch.int64, device=images.device)
        sharpness = torch.zeros(num_models, self.num_steps, device=images.device)
        pixel_keys = torch.zeros_like(sharpness, dtype=torch.int64)
        self._plan = Plan(order, torch.zeros_like(order), sharpness, pixel_keys)
        self._totals = torch.zeros(self.num_steps, num_models, 2, device=images.device)
        self._recording = Recording()
        self._rest: StepGraph | None = None

    def run(self, train: Callable[[Plan, Tensor], None], plan: Plan, totals: Tensor) -> int:
        """Run the steps of a plan's whole batches; return their number. totals: (steps, members, 2), filled here.

        Those that fill no graph of this length have one of their own, as they are as many in each epoch.
        train: trains all models for the steps of a plan and fills (steps, K, 2). It must be the same at each call.
        """
        num_steps = plan.order.shape[1] // self._batch_size
        done = num_steps - num_steps % self.num_steps
        for first in range(0, done, self.num_steps):
            for part, buffer in zip(plan, self._plan, strict=True):
                width = buffer.shape[1]
                begin = first // self.num_steps * width
                buffer.copy_(part[:, begin : begin + width])
            self._recording.run(partial(train, self._plan, self._totals))
            totals[first : first + self.num_steps] = self._totals[:, : totals.shape[1]]
        if left := num_steps - done:
            if self._rest is None or self._rest.num_steps != left:
                self._rest = StepGraph(self.images, self._num_models, self._batch_size, left)
            self._rest.run(train, plan.after(done, self._batch_size), totals[done:])
        return num_steps
