"""Convolutional encoders and decoders."""

import math

import torch
from torch import Tensor, nn

from models.choices import ImageShape, Initialisation
from models.networks.architectures import ConvShapes, list_shapes
from models.networks.mlp import MLP, bound_weights
from models.numerics.onednn import is_float32_on_cpu
from models.settings import TrialSettings

Convolution = nn.Conv2d | nn.ConvTranspose2d

FEW = 3
"""Output channels up to which torch's own transposed convolution is faster than oneDNN's (BENCHMARKS.md)."""


class TransposedConvolution(nn.ConvTranspose2d):
    """torch's, by torch's own kernel, which it calls slow, where oneDNN's is slower: for few output channels."""

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:  # (B, in, H, W) -> (B, out, ...)
        """Apply it."""
        if self.out_channels > FEW or not is_float32_on_cpu(maps):
            return super().forward(maps, output_size)
        weight, bias = self.weight, self.bias
        out: Tensor = torch.ops.aten.slow_conv_transpose2d(
            maps, weight, self.kernel_size, bias, self.stride, self.padding
        )
        return out


def make_convolution(
    kind: type[nn.Conv2d] | type[nn.ConvTranspose2d],
    num_in: int,
    num_out: int,
    side: int,
    generator: torch.Generator | None,
    *,
    initialisation: Initialisation,
) -> Convolution:
    """Make a convolution of stride 2 that halves an image, or a transposed one that doubles it.

    side: of its kernel, 4 or 2. It is initialised as torch does, but from a generator; None: not initialised. torch
    takes the inputs of a filter to be those that the weight's second dimension counts, which of a transposed
    convolution are its outputs. initialisation: xavier as in `models.networks.mlp.make_linear`.
    """
    layer = nn.utils.skip_init(kind, num_in, num_out, side, stride=2, padding=(side - 2) // 2)
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    if generator is None:
        return layer
    fan_out, fan_in = (num * side**2 for num in layer.weight.shape[:2])
    bound = 1 / math.sqrt(fan_in)
    weight_bound = bound_weights(initialisation, fan_in, fan_out)
    with torch.no_grad():
        layer.weight.uniform_(-weight_bound, weight_bound, generator=generator)
        assert layer.bias is not None
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class ConvEncoder(nn.Module):
    """Convolutions, then fully connected layers: images (B, C, H, W) to `num_heads` numbers for each latent."""

    def __init__(
        self,
        shapes: ConvShapes,
        generator: torch.Generator | None,
        *,
        num_heads: int,
        initialisation: Initialisation,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.convolutions = nn.ModuleList(
            make_convolution(nn.Conv2d, *shape, generator, initialisation=initialisation)
            for shape in shapes.convolutions
        )
        self.top = MLP(shapes.encoder, generator, num_heads=num_heads, initialisation=initialisation)
        self.num_hidden = self.top.num_hidden

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, H, D)
        """Compute the heads, which stand side by side in the last layer's output."""
        heads: Tensor = self.top(self._convolve(x))
        return heads.view(len(x), self.num_heads, heads.shape[1] // self.num_heads)

    def compute_hidden(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, width)
        """Apply every layer but the last."""
        return self.top.compute_hidden(self._convolve(x))

    def _convolve(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, flat)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        return x.flatten(1)


class ConvDecoder(nn.Module):
    """Fully connected layers, then transposed convolutions: codes to one or two outputs for each pixel of an image."""

    def __init__(
        self, shapes: ConvShapes, generator: torch.Generator | None, *, initialisation: Initialisation
    ) -> None:
        super().__init__()
        self.innermost = shapes.innermost
        self.bottom = MLP(shapes.decoder, generator, initialisation=initialisation)
        self.convolutions = nn.ModuleList(
            make_convolution(TransposedConvolution, *shape, generator, initialisation=initialisation)
            for shape in shapes.transposed
        )

    def forward(self, z: Tensor) -> Tensor:  # (..., D) -> (..., outputs, H, W)
        """Compute the outputs, in the shape of the images."""
        maps: Tensor = self.bottom(z).relu().view(-1, *self.innermost)
        for i, convolution in enumerate(self.convolutions):
            maps = convolution(maps.relu() if i else maps)
        return maps.view(*z.shape[:-1], *maps.shape[1:])


def build(
    settings: TrialSettings, image_shape: ImageShape, generator: torch.Generator | None
) -> tuple[ConvEncoder, ConvDecoder]:
    """Build the encoder and the decoder of a trial. generator: draws the parameters; None: they stay undefined.

    Raises:
        ValueError: the network does not fit such images.
    """
    shapes, initialisation = list_shapes(settings, image_shape), settings.initialisation
    num_heads = settings.parts.num_heads
    encoder = ConvEncoder(shapes, generator, num_heads=num_heads, initialisation=initialisation)
    return encoder, ConvDecoder(shapes, generator, initialisation=initialisation)
