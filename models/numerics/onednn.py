"""Products on the CPU, unseen by autograd, and through oneDNN where that is faster.

For the report's models oneDNN takes half the time of the library behind torch.matmul on AMD's processors; for models so
small that a call costs more than its arithmetic, it takes longer.
"""

import torch
from torch import Tensor
from torch.nn.functional import linear

IS_THERE: bool = torch.backends.mkldnn.is_available()


WORTHWHILE = 2**20
"""So many multiplications pay for a call (measured; BENCHMARKS.md has the table)."""


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """x (..., in), weight (out, in), bias (out,) -> (..., out), rectified if asked.

    Computed in the precision of the arguments, returned as float32.
    """
    if IS_THERE and x.numel() * len(weight) >= WORTHWHILE:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
    else:
        out = linear(x, weight, bias)
        out = out.relu_() if relu else out
    return out.float()


def is_bf16_fast() -> bool:
    """Whether the processor has instructions for products in bf16."""
    return IS_THERE and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies numbers of that precision."""
    return is_bf16_fast() if device.type == "cpu" else torch.cuda.is_bf16_supported()
