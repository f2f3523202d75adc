"""Widths of the layers of a fully connected model. Imports no torch, so that the driver can count parameters."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from models.choices import ImageShape
from models.settings import TrialSettings


def list_widths(
    num_pixels: int, hidden: tuple[int, ...], latent_dim: int, num_heads: int, outputs_per_pixel: int = 1
) -> tuple[list[int], list[int]]:
    """List the widths of the encoder and of the decoder, its mirror image: input, each hidden layer, output.

    The encoder's last layer computes all heads: one product instead of several. So does the decoder's last layer, where
    pixels have several outputs.
    """
    decoder = [latent_dim, *reversed(hidden), outputs_per_pixel * num_pixels]
    return [num_pixels, *hidden, num_heads * latent_dim], decoder


def list_widths_of(settings: TrialSettings, image_shape: ImageShape) -> tuple[list[int], list[int]]:
    """List the widths of a trial's encoder and decoder."""
    num_heads, num_outputs = settings.parts.num_heads, settings.outputs_per_pixel
    return list_widths(prod(image_shape), settings.hidden, settings.latent_dim, num_heads, num_outputs)


def count_linear(widths: Sequence[int]) -> int:
    """Count the weights and biases of fully connected layers. widths: of the input and of each layer."""
    return sum((num_in + 1) * num_out for num_in, num_out in pairwise(widths))


def count_parameters(settings: TrialSettings, image_shape: ImageShape) -> int:
    """Count the weights and biases of a model."""
    return sum(map(count_linear, list_widths_of(settings, image_shape)))
