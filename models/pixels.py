"""Conversion of an image's bytes to the pixels that a model sees."""

import torch
from torch import Tensor

from models.settings import PixelScaling


def to_pixels(images: Tensor, scaling: PixelScaling = "minmax") -> Tensor:  # (..., pixels) uint8 -> float32
    """Convert bytes to intensities in [0, 1].

    minmax: divided by 255. unit_norm: each image divided by its Euclidean norm; a black one stays black.
    """
    pixels = images.to(torch.float32)
    if scaling == "minmax":
        return pixels.div_(255)
    # If any byte is not 0, the norm is at least 1.
    return pixels.div_(torch.linalg.vector_norm(pixels, dim=-1, keepdim=True).clamp_min_(1))
