"""Black and white images that take a bit for each pixel, and are unpacked when they are read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WHITE = np.uint8(255)


class PackedArray:
    """Images (N, C, H, W) uint8 of 0 and 255, held as eight pixels a byte, the first its highest bit: (N, C, H, W / 8).

    As of an array of the images, its indices give images, and can be written to. A slice is packed still, and no copy;
    np.asarray unpacks all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self.bits = bits

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images."""
        *shape, width = self.bits.shape
        return (*shape, 8 * width)

    @property
    def nbytes(self) -> int:
        """Bytes that they are held in."""
        return self.bits.nbytes

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Any) -> Any:
        return PackedArray(self.bits[index]) if isinstance(index, slice) else _unpack(self.bits[index])

    def __setitem__(self, index: Any, images: NDArray[np.uint8]) -> None:
        self.bits[index] = np.packbits(images > 0, axis=-1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("packed images are not an array of their own; leave copy out")
        images = _unpack(self.bits)
        return images if dtype is None else images.astype(dtype)


ImageArray = NDArray[np.uint8] | PackedArray
"""Images (N, C, H, W) uint8."""


def _unpack(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:  # (..., W / 8) -> (..., W)
    return np.unpackbits(bits, axis=-1) * WHITE
