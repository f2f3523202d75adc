"""The floor: the least time in which a machine can take a training step, from counted work and measured rates.

Work is counted per trial and step. Bytes: Adam reads and writes each parameter and its two moments; each gradient is
written once and read once; each weight is read once more in the forward pass and, except in the first layer, in the
backward pass, in the precision of the products. Operations: multiplications and additions of the matrix products, one
product per layer forward and two backward, but one backward for the first layer, whose inputs need no gradient. The
rest (activations, noise, biases in the products, the images) is small and left out: the true floor is a little higher.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from models.networks.widths import list_widths
from models.numerics.computing import computing
from models.numerics.onednn import multiply
from models.numerics.precision import multiplying
from models.settings import MODELS, Precision

BIG_COPY = 2**30  # bytes; far more than the cache of any device
BIG_PRODUCT = 8192  # rows and columns


@dataclass(frozen=True, kw_only=True)
class Work:
    """The least work of one step of one trial."""

    num_parameters: int
    num_bytes: int
    num_operations: int

    @property
    def state_bytes(self) -> int:
        """Bytes of the parameters, the gradients and both moments."""
        return 4 * 4 * self.num_parameters


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The best measured rates of a core of this processor, or of this GPU."""

    bytes_per_second: float
    operations_per_second: float


def list_layers(num_pixels: int, num_hidden: int, latent_dim: int) -> list[tuple[int, int]]:
    """List the numbers of inputs and outputs of a VSC's linear layers, its three heads as one layer."""
    encoder, decoder = list_widths(num_pixels, (num_hidden,), latent_dim, MODELS["vsc"].num_heads)
    return [*pairwise(encoder), *pairwise(decoder)]


def count_work(layers: list[tuple[int, int]], batch_size: int, precision: Precision) -> Work:
    """Count the bytes and operations of one step of one trial. layers: see `list_layers`."""
    weights = sum(num_in * num_out for num_in, num_out in layers)
    parameters = weights + sum(num_out for _, num_out in layers)
    first = layers[0][0] * layers[0][1]
    width = 2 if precision == "bf16" else 4
    adam = 4 * (3 + 3 + 1 + 1)  # bytes: 3 reads and 3 writes of parameter and moments, 1 and 1 of the gradient
    return Work(
        num_parameters=parameters,
        num_bytes=adam * parameters + width * (2 * weights - first),
        num_operations=2 * batch_size * (3 * weights - first),
    )


def compute_floor(work: Work, rates: Rates) -> tuple[float, str]:
    """Compute the seconds of one step of one trial on one core or GPU, and what sets them: bytes or operations."""
    by_bytes = work.num_bytes / rates.bytes_per_second
    by_operations = work.num_operations / rates.operations_per_second
    return max((by_bytes, "bytes"), (by_operations, "operations"))


def measure_bandwidth(num_bytes: int, device: torch.device | str = "cpu", *, seconds: float = 0.5) -> float:
    """Measure the bytes read and written per second by the fastest copy between two halves of num_bytes.

    A CPU copies on one thread. Its caches may hold the state of a model, so give as many bytes as the state has.
    """
    source = torch.ones(num_bytes // 8, device=device)
    target = torch.ones_like(source)
    return 2 * source.numel() * 4 / _time_fastest(lambda: target.copy_(source), source.device, seconds)


def measure_products(
    layers: list[tuple[int, int]],
    batch_size: int,
    precision: Precision,
    device: torch.device | str = "cpu",
    *,
    seconds: float = 0.5,
) -> float:
    """Measure the operations per second of products: those of a step on one thread of a CPU; a large one on a GPU."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    device = torch.device(device)
    if device.type == "cuda":
        one, other = (torch.ones(BIG_PRODUCT, BIG_PRODUCT, dtype=dtype, device=device) for _ in range(2))
        with multiplying(precision):
            return 2 * BIG_PRODUCT**3 / _time_fastest(lambda: one @ other, device, seconds)
    products = _list_products(layers, batch_size, dtype)
    run = lambda: [multiply(x, weight) for x, weight in products]  # noqa: E731
    return count_work(layers, batch_size, precision).num_operations / _time_fastest(run, device, seconds)


def _list_products(layers: list[tuple[int, int]], batch_size: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """List the arguments of a step's products, laid out in memory as in models.training.stacked.linear."""
    products = []
    for num_in, num_out in layers:
        x, grad = torch.ones(batch_size, num_in, dtype=dtype), torch.ones(batch_size, num_out, dtype=dtype)
        weight = torch.ones(num_out, num_in, dtype=dtype)
        products += [(x, weight), (grad.t(), x.t()), (grad, weight.t())]
    return products[:2] + products[3:]  # without the gradient by the images


def _time_fastest(run: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Time the fastest of the runs that fit into `seconds`."""
    best = float("inf")
    with computing():
        run()  # warm up
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            synchronize(device)
            started = time.perf_counter()
            run()
            synchronize(device)
            best = min(best, time.perf_counter() - started)
    return best


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
