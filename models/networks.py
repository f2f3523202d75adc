"""Encoders and decoders."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def make_linear(num_in: int, num_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer initialised as torch's own (Kaiming uniform), but from the given generator."""
    layer = nn.utils.skip_init(nn.Linear, num_in, num_out)
    bound = 1 / math.sqrt(num_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    assert isinstance(layer, nn.Linear)
    return layer


class MLP(nn.Module):
    """Linear layers with ReLU between them and none after the last."""

    def __init__(self, widths: Sequence[int], generator: torch.Generator) -> None:
        """widths: of the input, of each hidden layer, of the output."""
        super().__init__()
        self.layers = nn.ModuleList(make_linear(a, b, generator) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:  # (..., widths[0]) -> (..., widths[-1])
        """Apply every layer."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        out: Tensor = last(x)
        return out
