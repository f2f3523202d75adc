"""Matrix products on the CPU, through oneDNN where that is faster.

On AMD processors oneDNN takes half the time of the library behind torch.matmul for the models of "[Re] Variational
Sparse Coding"; for small models, where a call costs more than its arithmetic, it takes longer.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import linear

from models.choices import Activation

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()
"""Whether this build of torch has oneDNN."""

WORTHWHILE = 2**20
"""Least number of multiplications for which a call of oneDNN pays (measured; BENCHMARKS.md has the table)."""


def is_float32_on_cpu(x: Tensor) -> bool:
    """Whether x is float32 on the CPU, and products of it stay so."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def apply_layer(x: Tensor, weight: Tensor, bias: Tensor, *, activation: Activation | None = None) -> Tensor:
    """Apply a linear layer, with autograd: x (..., in), weight (out, in), bias (out,) -> (..., out).

    activation: what follows, if anything.
    """
    if is_float32_on_cpu(x):
        if not torch.is_grad_enabled():
            return multiply(x, weight, bias, activation=activation)
        if _pays(x, weight):
            return _activate(_Linear.apply(x, weight, bias), activation)
    return _activate(linear(x, weight, bias), activation)


class _Linear(torch.autograd.Function):
    """A linear layer whose gradients, too, are products of oneDNN."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            multiply(grad, weight.t()) if to_x else None,
            multiply(rows.t(), x.flatten(0, -2).t()) if to_weight else None,
            rows.sum(0) if to_bias else None,
        )


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Activation | None = None) -> Tensor:
    """Multiply x (..., in) by weight (out, in), add bias (out,) -> (..., out), without autograd.

    The product is computed in the precision of the arguments and returned as float32. activation: what follows, if
    anything.
    """
    if _pays(x, weight):
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation or "none", [], "")
        return out.float()
    return activate_(linear(x, weight, bias), activation).float()


def _activate(x: Tensor, activation: Activation | None) -> Tensor:
    match activation:
        case "relu":
            return x.relu()
        case "tanh":
            return x.tanh()
        case None:
            return x


def _pays(x: Tensor, weight: Tensor) -> bool:
    return HAS_ONEDNN and x.numel() * len(weight) >= WORTHWHILE


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
    return is_bf16_fast() if device.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
