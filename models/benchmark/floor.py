"""The floor: the least time in which a machine can take a training step, from counted work and measured rates.

Work is counted per trial and step. Bytes: Adam reads and writes each parameter and its two moments; each gradient is
written once and read once; each weight is read once more in the forward pass and, except in the first layer, in the
backward pass, in the precision of the products. Operations: multiplications and additions of the matrix products, one
product per layer forward and two backward, but one backward for the first layer, whose inputs need no gradient. A
convolution counts as a product at each place of its output, a transposed one at each place of its input. The rest
(activations, noise, biases in the products, the images) is small and left out: the true floor is a little higher.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from models.choices import ImageShape, Precision
from models.networks.architectures import list_shapes
from models.networks.widths import list_widths_of
from models.numerics.computing import computing
from models.numerics.onednn import multiply
from models.numerics.precision import multiplying
from models.settings import TrialSettings

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


class Layer(NamedTuple):
    """A layer as a product of matrices."""

    num_in: int
    num_out: int
    num_places: int = 1  # of an image at which the product is taken
    num_biases: int | None = None  # if they are not num_out

    @property
    def num_weights(self) -> int:
        """Entries of the matrix."""
        return self.num_in * self.num_out

    @property
    def num_parameters(self) -> int:
        """Weights and biases."""
        return self.num_weights + (self.num_out if self.num_biases is None else self.num_biases)

    @property
    def num_products(self) -> int:
        """Multiplications for one image."""
        return self.num_weights * self.num_places


def list_layers(settings: TrialSettings, image_shape: ImageShape) -> list[Layer]:
    """List a model's layers from the images on, all heads as one layer."""
    if settings.network == "mlp":
        encoder, decoder = list_widths_of(settings, image_shape)
        return [Layer(*pair) for pair in (*pairwise(encoder), *pairwise(decoder))]
    shapes = list_shapes(settings, image_shape)
    places = [(image_shape[1] // 2**level) ** 2 for level in range(1, len(shapes.convolutions) + 1)]
    down = [Layer(n * side**2, out, at) for (n, out, side), at in zip(shapes.convolutions, places, strict=True)]
    up = [
        Layer(n, out * side**2, at, num_biases=out)
        for (n, out, side), at in zip(shapes.transposed, reversed(places), strict=True)
    ]
    return [*down, *(Layer(*pair) for pair in (*pairwise(shapes.encoder), *pairwise(shapes.decoder))), *up]


def count_work(layers: list[Layer], batch_size: int, precision: Precision) -> Work:
    """Count the bytes and operations of one step of one trial. layers: see `list_layers`."""
    weights = sum(layer.num_weights for layer in layers)
    parameters = sum(layer.num_parameters for layer in layers)
    products = sum(layer.num_products for layer in layers)
    width = 2 if precision == "bf16" else 4
    adam = 4 * (3 + 3 + 1 + 1)  # bytes: 3 reads and 3 writes of parameter and moments, 1 and 1 of the gradient
    return Work(
        num_parameters=parameters,
        num_bytes=adam * parameters + width * (2 * weights - layers[0].num_weights),
        num_operations=2 * batch_size * (3 * products - layers[0].num_products),
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
    source = _draw(num_bytes // 8, device=device)
    target = torch.ones_like(source)
    return 2 * source.numel() * 4 / _time_fastest(lambda: target.copy_(source), source.device, seconds)


def measure_products(
    layers: list[Layer],
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
        one, other = (_draw(BIG_PRODUCT, BIG_PRODUCT, dtype=dtype, device=device) for _ in range(2))
        with multiplying(precision):
            return 2 * BIG_PRODUCT**3 / _time_fastest(lambda: one @ other, device, seconds)
    products = _list_products(layers, batch_size, dtype)
    run = lambda: [multiply(x, weight) for x, weight in products]  # noqa: E731
    return count_work(layers, batch_size, precision).num_operations / _time_fastest(run, device, seconds)


def _draw(*shape: int, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw normal numbers, with a generator of their own: a card takes less power and time for numbers all alike."""
    return torch.randn(shape, device=device, dtype=dtype, generator=torch.Generator(device).manual_seed(0))


def _list_products(layers: list[Layer], batch_size: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """List the arguments of a step's products, laid out in memory as in models.training.stacked.linear."""
    products = []
    for layer in layers:
        num_rows = batch_size * layer.num_places
        x, grad = torch.ones(num_rows, layer.num_in, dtype=dtype), torch.ones(num_rows, layer.num_out, dtype=dtype)
        weight = torch.ones(layer.num_out, layer.num_in, dtype=dtype)
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
