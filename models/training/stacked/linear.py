"""One linear layer of a stack: the layers of several models side by side, with their gradients and Adam."""

import math

import torch
from torch import Tensor

from models.numerics.adam import step_adam
from models.numerics.onednn import multiply
from models.settings import Precision

ALIGNMENT = 16  # numbers of 4 bytes: where torch's own tensors begin


def make_aligned_rows(num: int, *shape: int, device: torch.device) -> Tensor:  # -> (num, *shape)
    """Zeros, of which every row begins where a tensor of its own could: products add in an order that depends on it."""
    size = math.prod(shape)
    return torch.zeros(num, -(-size // ALIGNMENT) * ALIGNMENT, device=device)[:, :size].view(num, *shape)


def count_half(num_models: int) -> int:
    """How many models' weights have gradients in memory at once."""
    return -(-num_models // 2)


def resize_rows(tensor: Tensor, num: int, *, is_aligned: bool = False) -> Tensor:
    """The first rows, and zeros where there were no more."""
    shape = tensor.shape[1:]
    resized = make_aligned_rows(num, *shape, device=tensor.device) if is_aligned else tensor.new_zeros(num, *shape)
    kept = min(num, len(tensor))
    resized[:kept] = tensor[:kept]
    return resized


class StackedLinear:
    """y = x W^T + b for each of some models. Nothing here is seen by autograd.

    Slots are a range of models: batched, their products are computed at once; else it is a range of one.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        *,
        capacity: int,
        precision: Precision,
        is_batched: bool,
        device: torch.device,
    ) -> None:
        self.tensors = {
            f"{moment}{name}": make_aligned_rows(capacity, *shape, device=device)
            for name, shape in (("weight", (num_out, num_in)), ("bias", (num_out,)))
            for moment in ("", "exp_avg.", "exp_avg_sq.")
        }
        self._is_bf16, self._is_batched = precision == "bf16", is_batched
        self._weight = torch.empty(0)  # as the last product took it: of all slots, or of the one
        self.scratch: Tensor | None = None  # where the weights' gradients go, one layer's after the other's
        self._make_views()

    def _make_views(self) -> None:
        """Each model's own tensors, as Adam takes them: made once, as a view costs as much as a small product."""
        self._parameters, self._exp_avgs, self._exp_avg_sqs = (
            list(zip(*(self.tensors[f"{moment}{name}"].unbind() for name in ("weight", "bias")), strict=True))
            for moment in ("", "exp_avg.", "exp_avg_sq.")
        )

    def resize(self, capacity: int) -> None:
        """Make room for more models, or for fewer; the first ones stay."""
        self._parameters, self._exp_avgs, self._exp_avg_sqs = [], [], []
        self._weight = torch.empty(0)
        for name in self.tensors:  # one by one: both sizes of all of them might not fit into memory
            self.tensors[name] = resize_rows(self.tensors[name], capacity, is_aligned=True)
        self._make_views()

    def forward(self, x: Tensor, slots: range, *, relu: bool) -> Tensor:
        """x (K, B, in) -> (K, B, out), rectified if asked."""
        x = self._cast(x)
        if not self._is_batched:
            weight, bias = self._parameters[slots.start]
            self._weight = self._cast(weight)
            return multiply(x[0], self._weight, self._cast(bias), relu=relu)[None]
        weight, bias = (self._cast(self.tensors[name][slots.start : slots.stop]) for name in ("weight", "bias"))
        self._weight = weight
        out = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2)).float()
        return out.relu_() if relu else out

    def backward(
        self,
        grad: Tensor,
        x: Tensor,
        slots: range,
        *,
        counts: list[Tensor],
        learning_rates: list[Tensor],
        to_inputs: bool,
    ) -> Tensor:
        """Adam's step, given the gradient by the outputs (K, B, out) and what the layer was last given, x (K, B, in).

        Returns the gradient by the inputs, (K, B, in), or the one by the outputs if the inputs' is not asked for. The
        step is taken at once, for half of the models and then for the others: so the gradients of a stack's weights
        never exist all together.
        """
        bias_grads = grad.sum(1).unbind()
        low_grad, x = self._cast(grad), self._cast(x)
        if not self._is_batched:
            weight_grad = multiply(low_grad[0].t(), x[0].t())
            grad = multiply(low_grad[0], self._weight.t())[None] if to_inputs else grad
            self._update(slots.start, weight_grad, bias_grads[0], counts, learning_rates)
            return grad
        grad = torch.bmm(low_grad, self._weight).float() if to_inputs else grad
        half = count_half(len(slots))
        for first in range(0, len(slots), half):
            some_grads, some_x = low_grad[first : first + half], x[first : first + half]
            shape = (len(some_x), *self._weight.shape[1:])
            out = None if self.scratch is None else self.scratch[: math.prod(shape)].view(shape)
            weight_grads = torch.bmm(some_grads.transpose(1, 2), some_x, out=out)
            for k, weight_grad in enumerate(weight_grads.unbind(), first):
                self._update(slots[k], weight_grad, bias_grads[k], counts, learning_rates)
        return grad

    def _update(
        self, slot: int, weight_grad: Tensor, bias_grad: Tensor, counts: list[Tensor], learning_rates: list[Tensor]
    ) -> None:
        step_adam(
            self._parameters[slot],
            (weight_grad.float(), bias_grad),
            self._exp_avgs[slot],
            self._exp_avg_sqs[slot],
            count=counts[slot],
            learning_rate=learning_rates[slot],
        )

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.bfloat16() if self._is_bf16 else tensor
