"""The precisions of matrix products: which a device has, TF32, and the layout of images that goes with each."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.choices import Precision
from models.numerics.onednn import has_bf16

CHANNELS_LAST = ("cuda",)
"""The kinds of device on which maps lie with their channels last, in reduced precision."""


def has_precision(precision: Precision, device: torch.device) -> bool:
    """Whether the device, CPU or GPU, can multiply in this precision; TF32 takes a GPU (of NVIDIA's, since Ampere)."""
    if precision == "bf16":
        return has_bf16(device)
    return precision == "float32" or (device.type != "cpu" and torch.cuda.get_device_capability(device) >= (8, 0))


def choose_layout(precision: Precision, device: torch.device) -> torch.memory_format:
    """Choose how a network's maps (B, C, H, W) lie in memory: on a GPU channels last where its tensor cores multiply.

    They read maps so, and rearrange others at every convolution, which kernels of float32 do not (NVIDIA, Convolutional
    Layers User's Guide, "Tensor Layouts In Memory: NCHW vs NHWC"). Not measured by us: no card could be had.
    """
    return torch.channels_last if device.type in CHANNELS_LAST and precision != "float32" else torch.contiguous_format


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """With tf32, let products and convolutions of float32 round their factors to 10 bits inside; outside, as before.

    torch has one switch of each for the whole process. Other precisions leave them alone.
    """
    if precision != "tf32":
        yield
        return
    before, was_rounding = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = was_rounding
