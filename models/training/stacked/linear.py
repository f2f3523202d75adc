"""A linear layer of a stack: the layers of several models side by side, with gradients and Adam's steps."""

import math

import torch
from torch import Tensor

from models.choices import Activation, Precision
from models.numerics.adam import StepSizes, step_adam, step_models
from models.numerics.onednn import activate_, multiply
from models.training.stacked.cuda_graph import compile_elementwise

ALIGNMENT = 16  # alignment of rows in numbers of 4 bytes: that of torch's tensors


def make_aligned_rows(num: int, *shape: int, device: torch.device) -> Tensor:  # -> (num, *shape)
    """Make zeros, each row aligned as a separate tensor is: the order of sums in a product depends on alignment."""
    size = math.prod(shape)
    return torch.zeros(num, -(-size // ALIGNMENT) * ALIGNMENT, device=device)[:, :size].view(num, *shape)


def count_half(num_models: int) -> int:
    """Count the models whose weight gradients are in memory at once: half of them, rounded up."""
    return -(-num_models // 2)


def resize_rows(tensor: Tensor, num: int, *, is_aligned: bool = False) -> Tensor:
    """Copy the first `num` rows; further rows are zeros."""
    shape = tensor.shape[1:]
    resized = make_aligned_rows(num, *shape, device=tensor.device) if is_aligned else tensor.new_zeros(num, *shape)
    kept = min(num, len(tensor))
    resized[:kept] = tensor[:kept]
    return resized


class StackedLinear:
    """The layers y = x W^T + b of several models, one in each slot, without autograd.

    Methods take a range of slots. If is_batched, the slots' products are one; else the range must be of one slot.
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
        self._step_models = compile_elementwise(step_models, device)
        self._weight = torch.empty(0)  # of the last forward pass's slots, in the precision of products
        self.scratch: Tensor | None = None  # room for weight gradients, which all layers share
        self._make_views()

    def _make_views(self) -> None:
        """Make the views of each slot's tensors that Adam takes, once: a view costs as much as a small product."""
        self._parameters, self._exp_avgs, self._exp_avg_sqs = (
            list(zip(*(self.tensors[f"{moment}{name}"].unbind() for name in ("weight", "bias")), strict=True))
            for moment in ("", "exp_avg.", "exp_avg_sq.")
        )

    def resize(self, capacity: int) -> None:
        """Change the number of slots; the first ones keep their contents."""
        self._parameters, self._exp_avgs, self._exp_avg_sqs = [], [], []
        self._weight = torch.empty(0)
        for name in self.tensors:  # one by one: both sizes of all of them might not fit into memory
            self.tensors[name] = resize_rows(self.tensors[name], capacity, is_aligned=True)
        self._make_views()

    def forward(self, x: Tensor, slots: range, *, activation: Activation | None) -> Tensor:
        """Compute x (K, B, in) -> (K, B, out). activation: what follows the layer, if anything."""
        x = self._cast(x)
        if not self._is_batched:
            weight, bias = self._parameters[slots.start]
            self._weight = self._cast(weight)
            return multiply(x[0], self._weight, self._cast(bias), activation=activation)[None]
        weight, bias = (self._cast(self.tensors[name][slots.start : slots.stop]) for name in ("weight", "bias"))
        self._weight = weight
        out = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2)).float()
        return activate_(out, activation)

    def backward(
        self,
        grad: Tensor,
        x: Tensor,
        slots: range,
        *,
        counts: list[Tensor],
        learning_rates: list[Tensor],
        sizes: StepSizes | None,
        to_inputs: bool,
    ) -> Tensor:
        """Take Adam's step; return the gradient by the inputs (K, B, in), or `grad` itself if not to_inputs.

        grad: gradient by the outputs (K, B, out). x: inputs of the last forward pass (K, B, in). The step is taken for
        one half of the models, then for the other, so that only half of the weight gradients exist at once. counts,
        learning_rates: of every slot. sizes: of these slots, where they are batched.
        """
        bias_grads = grad.sum(1)
        low_grad, x = self._cast(grad), self._cast(x)
        if not self._is_batched:
            weight_grad = multiply(low_grad[0].t(), x[0].t())
            grad = multiply(low_grad[0], self._weight.t())[None] if to_inputs else grad
            self._update(slots.start, weight_grad, bias_grads[0], counts, learning_rates)
            return grad
        assert sizes is not None
        grad = torch.bmm(low_grad, self._weight).float() if to_inputs else grad
        half = count_half(len(slots))
        for first in range(0, len(slots), half):
            # As many in each product, one of them twice if they are odd: of fewer it might add in another order.
            begin = min(first, len(slots) - half)
            some_grads, some_x = low_grad[begin : begin + half], x[begin : begin + half]
            shape = (len(some_x), *self._weight.shape[1:])
            out = None if self.scratch is None else self.scratch[: math.prod(shape)].view(shape)
            weight_grads = torch.bmm(some_grads.transpose(1, 2), some_x, out=out)[first - begin :]
            some_sizes = StepSizes(*(size[first : first + half] for size in sizes))
            self._update_batched("weight", slots[first : first + half], weight_grads, some_sizes)
        self._update_batched("bias", slots, bias_grads, sizes)
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

    def _update_batched(self, name: str, slots: range, gradients: Tensor, sizes: StepSizes) -> None:
        names = (f"{moment}{name}" for moment in ("", "exp_avg.", "exp_avg_sq."))
        parameters, exp_avgs, exp_avg_sqs = (self.tensors[each][slots.start : slots.stop] for each in names)
        self._step_models(parameters, gradients, exp_avgs, exp_avg_sqs, sizes)

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.bfloat16() if self._is_bf16 else tensor
