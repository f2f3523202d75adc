"""Matrix products on the CPU, without autograd, and through oneDNN where that is faster.

On AMD processors oneDNN takes half the time of the library behind torch.matmul for the models of "[Re] Variational
Sparse Coding"; for small models, where a call costs more than its arithmetic, it takes longer.
"""

import torch
from torch import Tensor
from torch.nn.functional import linear

from models.choices import Activation

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()
"""Whether this build of torch has oneDNN."""

WORTHWHILE = 2**20
"""Least number of multiplications for which a call of oneDNN pays (measured; BENCHMARKS.md has the table)."""


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Activation | None = None) -> Tensor:
    """Multiply x (..., in) by weight (out, in), add bias (out,) -> (..., out). activation: what follows, if anything.

    The product is computed in the precision of the arguments and returned as float32.
    """
    if HAS_ONEDNN and x.numel() * len(weight) >= WORTHWHILE:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation or "none", [], "")
        return out.float()
    return activate_(linear(x, weight, bias), activation).float()


def activate_(x: Tensor, activation: Activation | None) -> Tensor:
    """Apply what follows a layer, in place."""
    match activation:
        case "relu":
            return x.relu_()
        case "tanh":
            return x.tanh_()
        case None:
            return x


def is_bf16_fast() -> bool:
    """Whether the CPU has instructions for matrix products in bf16."""
    return HAS_ONEDNN and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_bf16(device: torch.device) -> bool:
    """Whether the device, CPU or GPU, has instructions for matrix products in bf16."""
    return is_bf16_fast() if device.type == "cpu" else torch.cuda.is_bf16_supported()
