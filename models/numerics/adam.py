"""Adam, as a thin layer over torch's fused kernel."""

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]

BETAS = (0.9, 0.999)
"""Decay rates of Adam's first and second moments: torch's defaults."""


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
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
