"""Conversion of an image's bytes to the pixels that a model sees."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from models.choices import PixelScaling
from models.randomness import IMAGES_SEED, draw_uniform, make_key, make_offsets, make_row_keys

BATCH_SIZE = 1_000  # images that are binarised at once


class HeldImages(ABC):
    """Images (N, C, H, W) uint8 that are held otherwise than as a tensor, and read from there by index.

    They stand where a tensor of training images does.
    """

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """That of the images, (N, C, H, W)."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where what is read of them is."""

    @abstractmethod
    def __getitem__(self, index: Tensor) -> Tensor:
        """Read the images with these numbers, (B,) -> (B, C, H, W)."""

    def __len__(self) -> int:
        return self.shape[0]

    def split(self, size: int) -> Iterator[Tensor]:
        """Read all images in batches."""
        return (self[batch] for batch in torch.arange(len(self), device=self.device).split(size))


class PackedImages(HeldImages):
    """Black and white images, 0 and 255, held as eight pixels a byte: bits (N, C, H, W / 8) uint8."""

    def __init__(self, bits: Tensor) -> None:
        self.bits = bits

    @property
    def shape(self) -> torch.Size:
        """See HeldImages."""
        *shape, width = self.bits.shape
        return torch.Size((*shape, 8 * width))

    @property
    def device(self) -> torch.device:
        """See HeldImages."""
        return self.bits.device

    def to(self, device: torch.device | str) -> "PackedImages":
        """Move them to a device, packed."""
        return PackedImages(self.bits.to(device))

    def __getitem__(self, index: Tensor) -> Tensor:
        return unpack(self.bits[index])


ImageBytes = Tensor | HeldImages
"""Images (N, C, H, W), bytes of 0 to 255."""


def unpack(bits: Tensor) -> Tensor:  # (..., W / 8) uint8 -> (..., W) uint8, 0 or 255
    """Unpack eight pixels a byte, the first of which is its highest bit."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    return (bits.unsqueeze(-1) >> shifts).bitwise_and_(1).mul_(255).flatten(-2)


def to_rows(images: ImageBytes) -> ImageBytes:  # -> (N, P) uint8, or (N, P / 8) of packed images
    """View each image as a row of the bytes that hold it; what no tensor holds stays as it is."""
    held = images.bits if isinstance(images, PackedImages) else images
    if not isinstance(held, Tensor):
        return held
    assert held.is_contiguous(), "as rows they are to be the same memory: a graph of steps reads them there"
    return held.flatten(1)


def to_pixels(images: Tensor, scaling: PixelScaling = "minmax") -> Tensor:  # (..., pixels) uint8 -> float32
    """Convert bytes to intensities in [0, 1].

    minmax: divided by 255. unit_norm: each image divided by its Euclidean norm; a black one stays black.
    """
    pixels = images.to(torch.float32)
    match scaling:
        case "minmax":
            return pixels.div_(255)
        case "unit_norm":  # if any byte is not 0, the norm is at least 1
            return pixels.div_(torch.linalg.vector_norm(pixels, dim=-1, keepdim=True).clamp_min_(1))


def binarise(pixels: Tensor, counters: Tensor) -> Tensor:  # (..., P) in [0, 1], (..., P) int64 -> (..., P) of 0 and 1
    """Draw each pixel: 1 with its intensity as probability, else 0. counters: an image's key plus its pixels' offsets.

    Drawn anew in each epoch, this is the dynamic binarisation of Burda, Grosse and Salakhutdinov, Importance Weighted
    Autoencoders (ICLR 2016); drawn once, the static one of Larochelle and Murray (AISTATS 2011), though with other
    draws than their file.
    """
    return (draw_uniform(counters) < pixels).to(pixels.dtype)


def binarise_once(images: Tensor, split: str) -> Tensor:  # (N, C, H, W) uint8 -> (N, C, H, W) uint8, 0 or 255
    """Binarise the images that a trial is measured on: of each split in one way, the same for all trials."""
    key, flat = make_key(IMAGES_SEED, f"binarisation/{split}"), images.flatten(1)
    (row_keys,), offsets = make_row_keys([key], len(images)).to(images.device), make_offsets(flat.shape[1], flat.device)
    parts = zip(flat.split(BATCH_SIZE), row_keys.split(BATCH_SIZE), strict=True)
    binary = [binarise(to_pixels(part), keys[:, None] + offsets).mul_(255).to(torch.uint8) for part, keys in parts]
    return torch.cat(binary).view_as(images)
