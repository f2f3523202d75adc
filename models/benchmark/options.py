"""The options of the benchmark."""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from models.benchmark.subjects import MNIST
from models.benchmark.timing import NUM_IMAGES
from models.choices import Precision
from models.numerics.precision import has_precision

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("all", *get_args(Precision))


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the benchmark, as the command line has them.

    Raises:
        ValueError: one sentence that names the option and the fix.
    """

    seconds: float = 5.0  # of timing, per row
    latent_dim: int = 200
    batch_size: int = 32
    precision: str = "all"  # of our trainer's rows
    device: str = "auto"  # auto: the CPU, and the GPU if there is one
    epochs: int = 3  # trained before the rows of trained states; 0: no such rows
    images: str | None = None  # an .npy file of images (N, 28, 28) uint8; None: generated ones

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"--seconds: {self.seconds} is not a positive number; give one such as 5")
        if self.latent_dim < 1:
            raise ValueError(f"--latent-dim: {self.latent_dim} is too small; give at least 1")
        if not 1 <= self.batch_size <= NUM_IMAGES:
            raise ValueError(f"--batch-size: {self.batch_size} is not from 1 to {NUM_IMAGES}; give one such as 32")
        if self.epochs < 0:
            raise ValueError(f"--epochs: {self.epochs} is too small; give at least 0")
        if self.images is not None:
            _check_images(self.images)
        choices_of = {"device": DEVICES, "precision": PRECISIONS}
        for name, choices in choices_of.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"--{name}: {value!r} is not one of {', '.join(choices)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: torch sees no GPU here; use --device cpu")
        if not self.list_precisions():
            raise ValueError(
                f"--precision {self.precision}: no processor to be measured computes in {self.precision}; use float32"
            )

    def list_devices(self) -> list[str]:
        """List the devices to measure on."""
        if self.device != "auto":
            return [self.device]
        return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

    def list_precisions(self) -> list[tuple[str, Precision]]:
        """List each device with each precision to measure on it."""
        wanted: tuple[Precision, ...] = get_args(Precision)
        return [
            (device, precision)
            for device in self.list_devices()
            for precision in wanted
            if self.precision in ("all", precision) and has_precision(precision, torch.device(device))
        ]


def _check_images(path: str) -> None:
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise ValueError(f"--images: {path} is not a .npy file that can be read") from None
    _, height, width = MNIST.image_shape
    if images.dtype != np.uint8 or images.shape != (NUM_IMAGES, height, width):
        raise ValueError(f"--images: {path} should hold {NUM_IMAGES} images of {height} by {width} bytes")
