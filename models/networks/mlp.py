"""Fully connected encoders and decoders."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.choices import Activation, ImageShape, Initialisation
from models.networks.widths import list_widths_of
from models.numerics.onednn import apply_layer
from models.settings import TrialSettings


class Linear(nn.Linear):
    """torch's, with what follows the layer, and through oneDNN where that is faster."""

    def forward(self, x: Tensor, *, activation: Activation | None = None, is_fixed: bool = False) -> Tensor:
        """Apply it: x (..., in) -> (..., out). is_fixed: the parameters are constants, which get no gradients."""
        weight, bias = (p.detach() if is_fixed else p for p in (self.weight, self.bias))
        return apply_layer(x, weight, bias, activation=activation)


INITIALISATION: Initialisation = "kaiming"
"""As torch does: of layers that no setting speaks of."""


def bound_weights(initialisation: Initialisation, num_in: int, num_out: int) -> float:
    """Compute the bound of the uniform distribution that a layer's weights are drawn from, by what each end has.

    Source of xavier: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks
    (AISTATS 2010), equation 16.
    """
    match initialisation:
        case "kaiming":
            return 1 / math.sqrt(num_in)
        case "xavier":
            return math.sqrt(6 / (num_in + num_out))


def make_linear(
    num_in: int,
    num_out: int,
    generator: torch.Generator | None,
    *,
    num_heads: int = 1,
    initialisation: Initialisation = INITIALISATION,
) -> Linear:
    """Make a linear layer, initialised as torch does (Kaiming uniform), but from a generator; None: not initialised.

    initialisation: xavier draws the weights as `bound_weights` says, the biases as kaiming does.

    num_heads: number of layers of equal width that stand side by side, computed in one product. Their parameters are
    drawn one head after the other, so that they equal those of separate layers.
    """
    layer = nn.utils.skip_init(Linear, num_in, num_out)
    assert isinstance(layer, Linear)
    if generator is None:
        return layer
    bound = 1 / math.sqrt(num_in)
    weight_bound = bound_weights(initialisation, num_in, num_out // num_heads)
    with torch.no_grad():
        for weight, bias in zip(layer.weight.chunk(num_heads), layer.bias.chunk(num_heads), strict=True):
            weight.uniform_(-weight_bound, weight_bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
    return layer


class MLP(nn.Module):
    """A fully connected network: linear layers with ReLU, or tanh, between them."""

    def __init__(
        self,
        widths: Sequence[int],
        generator: torch.Generator | None,
        *,
        num_heads: int = 1,
        initialisation: Initialisation = INITIALISATION,
        activation: Activation = "relu",
    ) -> None:
        """widths: of the input, each hidden layer and the output, which holds `num_heads` heads side by side."""
        super().__init__()
        self.activation, self.num_hidden = activation, widths[-2]
        *hidden, last = itertools.pairwise(widths)
        self.layers = nn.ModuleList(make_linear(*shape, generator, initialisation=initialisation) for shape in hidden)
        self.layers.append(make_linear(*last, generator, num_heads=num_heads, initialisation=initialisation))

    def forward(self, x: Tensor) -> Tensor:  # (..., widths[0]) -> (..., widths[-1])
        """Apply every layer."""
        return self._apply_layer(len(self.layers) - 1, self.compute_hidden(x))

    def compute_hidden(self, x: Tensor) -> Tensor:  # (..., widths[0]) -> (..., widths[-2])
        """Apply every layer but the last."""
        for index in range(len(self.layers) - 1):
            x = self._apply_layer(index, x)
        return x

    def _apply_layer(self, index: int, x: Tensor) -> Tensor:
        """Apply one layer, and the activation unless it is the last."""
        out: Tensor = self.layers[index](x, activation=self.activation if index < len(self.layers) - 1 else None)
        return out


class MLPEncoder(MLP):
    """A fully connected encoder: images (B, C, H, W) to `num_heads` numbers for each latent dimension."""

    def __init__(
        self,
        widths: Sequence[int],
        generator: torch.Generator | None,
        *,
        num_heads: int,
        initialisation: Initialisation,
        activation: Activation,
    ) -> None:
        super().__init__(widths, generator, num_heads=num_heads, initialisation=initialisation, activation=activation)
        self.num_heads = num_heads

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, H, D)
        """Compute the heads, which stand side by side in the last layer's output."""
        heads: Tensor = super().forward(x)
        return heads.view(len(x), self.num_heads, heads.shape[1] // self.num_heads)

    def compute_hidden(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, widths[-2])
        """Apply every layer but the last."""
        return super().compute_hidden(x.flatten(1))


class MLPDecoder(MLP):
    """A fully connected decoder: codes to one or two outputs for each pixel of an image."""

    def __init__(
        self,
        widths: Sequence[int],
        generator: torch.Generator | None,
        *,
        image_shape: ImageShape,
        outputs_per_pixel: int,
        initialisation: Initialisation,
        activation: Activation,
    ) -> None:
        """outputs_per_pixel: those of one kind stand behind those of the other, as further channels."""
        num = outputs_per_pixel
        super().__init__(widths, generator, num_heads=num, initialisation=initialisation, activation=activation)
        channels, height, width = image_shape
        self.output_shape = (num * channels, height, width)

    def forward(self, z: Tensor) -> Tensor:  # (..., D) -> (..., outputs, H, W)
        """Compute the outputs, in the shape of the images."""
        outputs: Tensor = super().forward(z)
        return outputs.view(*z.shape[:-1], *self.output_shape)


def build(
    settings: TrialSettings, image_shape: ImageShape, generator: torch.Generator | None
) -> tuple[MLPEncoder, MLPDecoder]:
    """Build the encoder and the decoder of a trial. generator: draws the parameters; None: they stay undefined."""
    num_heads, num_outputs = settings.parts.num_heads, settings.outputs_per_pixel
    encoder, decoder = list_widths_of(settings, image_shape)
    like: dict[str, Any] = {"initialisation": settings.initialisation, "activation": settings.activation}
    return (
        MLPEncoder(encoder, generator, num_heads=num_heads, **like),
        MLPDecoder(decoder, generator, image_shape=image_shape, outputs_per_pixel=num_outputs, **like),
    )
