"""Adam, as a thin layer over torch's fused kernel."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1) over some parameters, with torch's defaults.

    The numbers are those of torch.optim.Adam(fused=True), bit for bit. That class imports torch's compiler at its first
    use, 1.5 s in every trial's process, and spends more time in Python than a small model does in its products.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.exp_avgs = [torch.zeros_like(p) for p in self.parameters]
        self.exp_avg_sqs = [torch.zeros_like(p) for p in self.parameters]
        # The kernel wants a count for each parameter, on its device.
        self._steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def set_step(self, step: int) -> None:
        """Say how many steps the moments have seen."""
        for count in self._steps:
            count.fill_(step)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters against their gradients, then forget those."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        assert len(gradients) == len(self.parameters), "every parameter takes part in the loss"
        torch._foreach_add_(self._steps, 1)
        torch._fused_adam_(
            self.parameters,
            gradients,
            self.exp_avgs,
            self.exp_avg_sqs,
            [],
            self._steps,
            lr=self.learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )
        for p in self.parameters:
            p.grad = None
