"""The layers of convolutional models, and what images they fit. Imports no torch: the driver counts parameters here."""

from itertools import pairwise
from typing import NamedTuple

from models.choices import ArchitectureName, ImageShape
from models.networks.widths import count_linear
from models.settings import TrialSettings

CHANNELS = {1: "grey", 3: "colour"}
"""Numbers of channels that convolutional models take."""

DECODER_KERNEL = 4


class Architecture(NamedTuple):
    """An encoder: convolutions of stride 2, then fully connected layers, ReLU after each. The decoder is its mirror.

    The decoder's transposed convolutions are all 4 x 4; no ReLU follows the last.
    """

    channels: tuple[int, ...]  # that each convolution puts out
    kernels: tuple[int, ...]  # sides of the convolutions' kernels: 4, padded by 1, or 2; both halve an image
    widths: tuple[int, ...]  # of the fully connected layers between the convolutions and the heads


ARCHITECTURES: dict[ArchitectureName, Architecture] = {
    "report": Architecture((32, 32, 64, 64), (4, 4, 4, 4), (256,)),
    "locatello": Architecture((32, 32, 64, 64), (4, 4, 2, 2), (256,)),
    "burgess": Architecture((32, 32, 32, 32), (4, 4, 4, 4), (256, 256)),
}
"""Sources. report: the code of "[Re] Variational Sparse Coding", classes ConvVAE and ConvVSC. locatello: Locatello et
al., Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations (ICML 2019), as in
disentanglement_lib, whose third and fourth kernels are 2 x 2. burgess: Burgess et al., Understanding Disentangling in
beta-VAE (2018), appendix. They were made for images of 64 x 64; on others the innermost maps are larger or smaller."""


class ConvShapes(NamedTuple):
    """Shapes of a model's layers."""

    convolutions: list[tuple[int, int, int]]  # the encoder's: channels in and out, side of the kernel
    encoder: list[int]  # widths of the fully connected layers: input, hidden layers, all heads
    decoder: list[int]  # widths of the fully connected layers: code, hidden layers, output
    innermost: tuple[int, int, int]  # what the decoder's last width is to be, as a map of channels, height and width
    transposed: list[tuple[int, int, int]]  # the decoder's: channels in and out, side of the kernel


def list_shapes(settings: TrialSettings, image_shape: ImageShape) -> ConvShapes:
    """List the shapes of a trial's layers.

    Raises:
        ValueError: one clause: the network does not fit such images.
    """
    refuse_unfit(settings.architecture, image_shape)
    architecture, (channels, side, _) = ARCHITECTURES[settings.architecture], image_shape
    maps = [channels, *architecture.channels]
    inner_side = side // 2 ** len(architecture.channels)
    innermost = (maps[-1], inner_side, inner_side)
    flat = maps[-1] * inner_side**2
    back = [*reversed(architecture.channels), settings.outputs_per_pixel * channels]
    return ConvShapes(
        convolutions=[(*pair, kernel) for pair, kernel in zip(pairwise(maps), architecture.kernels, strict=True)],
        encoder=[flat, *architecture.widths, settings.parts.num_heads * settings.latent_dim],
        decoder=[settings.latent_dim, *reversed(architecture.widths), flat],
        innermost=innermost,
        transposed=[(*pair, DECODER_KERNEL) for pair in pairwise(back)],
    )


def refuse_unfit(architecture: ArchitectureName, image_shape: ImageShape) -> None:
    """Refuse images that an architecture does not fit.

    Raises:
        ValueError: one clause that begins with the setting.
    """
    channels, height, width = image_shape
    multiple = 2 ** len(ARCHITECTURES[architecture].channels)
    if channels not in CHANNELS:
        kinds = " or ".join(f"{num} channel{'s' * (num > 1)} ({kind})" for num, kind in CHANNELS.items())
        raise ValueError(f"network: conv takes images of {kinds}, and these have {channels}; set network: mlp")
    if height != width or height % multiple:
        raise ValueError(
            f"network: conv takes square images whose side is a multiple of {multiple}, such as 32 x 32, and these are "
            f"{height} x {width}; set network: mlp"
        )


def count_parameters(settings: TrialSettings, image_shape: ImageShape) -> int:
    """Count the weights and biases of a model.

    Raises:
        ValueError: see `list_shapes`.
    """
    shapes = list_shapes(settings, image_shape)
    filters = [*shapes.convolutions, *shapes.transposed]
    in_filters = sum((num_in * side**2 + 1) * num_out for num_in, num_out, side in filters)
    return in_filters + count_linear(shapes.encoder) + count_linear(shapes.decoder)
