"""Adam, as a thin layer over torch's fused kernel, and for many models at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]

BETAS = (0.9, 0.999)
"""Decay rates of Adam's first and second moments: torch's defaults."""

EPSILON = 1e-8
"""Added to the root of the second moment: torch's default."""


@torch.no_grad()
def step_adam(
    parameters: Tensors,
    gradients: Tensors,
    exp_avgs: Tensors,
    exp_avg_sqs: Tensors,
    *,
    count: Tensor,
    learning_rate: Tensor,
    betas: tuple[float, float] = BETAS,
) -> None:
    """Take one step of Adam (Kingma and Ba, 2015, algorithm 1), in place, with torch's epsilon.

    count: (), number of steps, including this one. learning_rate: (). Both are float32, on the device
    of the parameters, so that on a GPU nothing has to be read back.

    The numbers are those of torch.optim.Adam(fused=True), bit for bit. That class imports torch's compiler at its first
    use, 1.5 s in every trial's process, and its Python takes longer than the products of a small model.
    """
    torch._fused_adam_(
        parameters,
        gradients,
        exp_avgs,
        exp_avg_sqs,
        [],
        [count] * len(parameters),
        lr=learning_rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


class StepSizes(NamedTuple):
    """What a step of Adam of some models needs besides their gradients, each (K,)."""

    step: Tensor  # the learning rate over the first moment's bias correction
    root: Tensor  # of the second moment's bias correction


def count_step(count: Tensor, learning_rate: Tensor) -> StepSizes:
    """Count a step of some models, in place, and find its sizes. Both arguments are (K,) float32."""
    count += 1
    # expm1 keeps in float32 the digits that 1 - beta^count would lose.
    first, second = (-torch.expm1(count * math.log(beta)) for beta in BETAS)
    return StepSizes(learning_rate / first, second.sqrt_())


def step_models(parameters: Tensor, gradients: Tensor, exp_avgs: Tensor, exp_avg_sqs: Tensor, sizes: StepSizes) -> None:
    """One step of Adam for some models side by side, in place, each with its own learning rate and count.

    All (K, ...), elementwise, so that a GPU's compiler makes it one kernel. It computes what `step_adam` does, up to
    rounding. The gradients may be overwritten: uncompiled, what is needed for a moment takes their memory and no more.
    """
    step, root = (size.view(-1, *[1] * (parameters.dim() - 1)) for size in sizes)
    gradients = gradients.float()
    exp_avgs.lerp_(gradients, 1 - BETAS[0])
    exp_avg_sqs.mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
    if torch.compiler.is_compiling():  # one kernel has no need of that memory, nor of writing to it
        gradients = exp_avg_sqs.sqrt()
    else:
        torch.sqrt(exp_avg_sqs, out=gradients)
    gradients.div_(root).add_(EPSILON)
    parameters.sub_(gradients.reciprocal_().mul_(exp_avgs).mul_(step))
