"""One linear layer of a stack: the layers of several models side by side, with their gradients and Adam."""

import math

import torch
from torch import Tensor

from models.adam import step_adam
from models.onednn import multiply
from models.settings import Precision

ALIGNMENT = 16  # numbers of 4 bytes: where torch's own tensors begin


def make_aligned_rows(num: int, *shape: int, device: torch.device) -> Tensor:  # -> (num, *shape)
    """Zeros, of which every row begins where a tensor of its own could: products add in an order that depends on it."""
    size = math.prod(shape)
    return torch.zeros(num, -(-size // ALIGNMENT) * ALIGNMENT, device=device)[:, :size].view(num, *shape)


def resize_rows(tensor: Tensor, num: int, *, is_aligned: bool = False) -> Tensor:
    """The first rows, and zeros where there were no more."""
    shape = tensor.shape[1:]
    resized = make_aligned_rows(num, *shape, device=tensor.device) if is_aligned else tensor.new_zeros(num, *shape)
    kept = min(num, len(tensor))
    resized[:kept] = tensor[:kept]
    return resized


class StackedLinear:
    """y = x W^T + b for each of some models. Nothing here is seen by autograd.

    Places are a range of models: batched, their products are computed at once; else it is a range of one.
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
        self._weight = torch.empty(0)  # as the last product took it: of all places, or of the one
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

    def apply(self, x: Tensor, places: range, *, relu: bool) -> Tensor:
        """x (K, B, in) -> (K, B, out), rectified if asked."""
        x = self._cast(x)
        if not self._is_batched:
            weight, bias = self._parameters[places.start]
            self._weight = self._cast(weight)
            return multiply(x[0], self._weight, self._cast(bias), relu=relu)[None]
        weight, bias = (self._cast(self.tensors[name][places.start : places.stop]) for name in ("weight", "bias"))
        self._weight = weight
        out = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2)).float()
        return out.relu_() if relu else out

    def go_back(
        self,
        grad: Tensor,
        x: Tensor,
        places: range,
        *,
        counts: list[Tensor],
        learning_rates: list[Tensor],
        to_inputs: bool,
    ) -> Tensor:
        """Adam's step, given the gradient by the outputs (K, B, out) and what the layer was last given, x (K, B, in).

        Returns the gradient by the inputs, (K, B, in), or the one by the outputs if the inputs' is not asked for. The
        step is taken at once: so the gradients of a stack's weights never exist all together.
        """
        bias_grads = grad.sum(1).unbind()
        low_grad, x = self._cast(grad), self._cast(x)
        if self._is_batched:
            shape = self._weight.shape
            out = None if self.scratch is None else self.scratch[: shape.numel()].view(shape)
            weight_grads = torch.bmm(low_grad.transpose(1, 2), x, out=out).unbind()
            grad = torch.bmm(low_grad, self._weight).float() if to_inputs else grad
        else:
            weight_grads = (multiply(low_grad[0].t(), x[0].t()),)
            grad = multiply(low_grad[0], self._weight.t())[None] if to_inputs else grad
        for k, weight_grad, bias_grad in zip(places, weight_grads, bias_grads, strict=True):
            step_adam(
                self._parameters[k],
                (weight_grad.float(), bias_grad),
                self._exp_avgs[k],
                self._exp_avg_sqs[k],
                count=counts[k],
                learning_rate=learning_rates[k],
            )
        return grad

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.bfloat16() if self._is_bf16 else tensor
