"""dsprites-published: the sprites of the published file, for users who have it; its pixels, not those drawn here."""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dsprites import FACTORS, FULL_SIDE, Side, SpriteMap, halve, list_images
from harness.datasets.locations import ENVIRONMENT_VARIABLE, search_roots
from harness.datasets.packed import ImageArray
from harness.errors import InputError

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
GIT_BLOB = "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"
"""What `git hash-object` says of the file."""

FRAMES_AT_ONCE = 4_096


@dataclass(frozen=True)
class PublishedSprites(SpriteMap):
    """The published sprites at one size, in the same order and split as those drawn here."""

    verb = "read"
    sha256 = None

    @property
    def content_hash(self) -> str:
        """See Dataset.content_hash."""
        return hashlib.sha256(f"{GIT_BLOB} {self.side}".encode()).hexdigest()

    def find_painter(self, data_dir: Path | None) -> "FramePainter":
        """See MapSpec."""
        roots = search_roots(data_dir)
        paths = (path for root in roots for path in (root / "dsprites" / FILE, root / FILE))
        if (path := next((path for path in paths if path.is_file()), None)) is None:
            raise InputError(
                f"{self.name}: {FILE} was not found in any of: {', '.join(map(str, roots))} (nor in dsprites/ there); "
                f"put it there, or name its folder with --data or ${ENVIRONMENT_VARIABLE}; or use dsprites, "
                "which is drawn here"
            )
        content = path.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if found != GIT_BLOB:
            raise InputError(f"{path} has other contents: git's name for them is {found}, not {GIT_BLOB}; get it again")
        return FramePainter(path, self.side)


@dataclass(frozen=True)
class FramePainter:
    """Reads the frames of the published file, which is unpacked from its beginning, so in one part."""

    path: Path
    side: Side

    num_at_once = FACTORS.num_images

    def paint(self, numbers: range, images: ImageArray, attributes: NDArray[np.uint8]) -> None:
        """See Painter."""
        order = list_images()[numbers.start : numbers.stop]
        attributes[:] = FACTORS.to_classes(order)
        places = np.argsort(order)  # of each frame of the file
        first = 0
        for frames in stream_frames(self.path):
            drawn = frames if self.side == FULL_SIDE else halve(frames)
            images[places[first : first + len(frames)]] = drawn[:, None] * np.uint8(255)
            first += len(frames)


def stream_frames(path: Path) -> Iterator[NDArray[np.uint8]]:  # -> (n, 64, 64), 0 or 1
    """Read the frames of the published file in their order, some at a time: all would take 3 GB."""
    with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as file:
        np.lib.format.read_magic(file)
        (num_frames, *shape), _, _ = np.lib.format.read_array_header_1_0(file)
        for first in range(0, num_frames, FRAMES_AT_ONCE):
            num = min(FRAMES_AT_ONCE, num_frames - first)
            yield np.frombuffer(file.read(num * shape[0] * shape[1]), np.uint8).reshape(num, *shape)
