"""Images that stay on the disk: made once, in parts, on all cores, then read through memory maps.

All processes of a machine share the pages of a memory map, so that a dataset takes its memory once, whoever trains.

    images.npy      (N, C, H, W)  uint8  the training images, then the test images; black and white ones are packed,
                                         eight pixels a byte, and take an eighth
    attributes.npy  (N, A)        uint8  what each image shows
    manifest.json                        of what they were made, and their SHA-256; there once all is made
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.files import write_atomically
from harness.datasets.dataset import DatasetIdentity, FileCheck
from harness.datasets.packed import ImageArray, PackedArray
from harness.errors import InputError
from harness.paths import open_lock
from models.numerics.machine import count_cores

IMAGES, ATTRIBUTES, MANIFEST, PARTS = "images.npy", "attributes.npy", "manifest.json", "parts.json"

HASHED_AT_ONCE = 1 << 24  # bytes

OnCount = Callable[[str, int, int], None]
"""Is told what is done, how much of it by now, and how much there is in all."""


class Painter(Protocol):
    """What makes the images of a map; it goes to other processes."""

    @property
    def num_at_once(self) -> int:
        """Images in a part."""

    def paint(self, numbers: range, images: ImageArray, attributes: NDArray[np.uint8]) -> None:
        """Fill in images and attributes, both of all N images, at the numbers of one part.

        Raises InputError if an image that the user gave is wrong.
        """


class MapSpec(DatasetIdentity, Protocol):
    """What a dataset on the disk is made of; its content_hash is known before its images are made.

    Its factors are its attributes, if the images show every combination of them; none otherwise.
    """

    @property
    def sha256(self) -> str | None:
        """What `hash_arrays` gives of its images, if that is known."""

    @property
    def num_test(self) -> int:
        """How many are for the test."""

    @property
    def is_packed(self) -> bool:
        """Whether they are black and white, and held as bits; their width is then a multiple of 8."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of what is known of each image."""

    @property
    def label(self) -> str:
        """The attribute that is the images' label."""

    @property
    def verb(self) -> str:
        """How its images come to be: drawn, read."""

    def find_painter(self, data_dir: Path | None) -> Painter:
        """Find what makes the images, and check it; raises InputError with what the user must do."""


def is_made(spec: MapSpec, folder: Path) -> bool:
    """Whether a folder holds the whole map of this dataset."""
    manifest = _read_json(folder / MANIFEST)
    layout = {"content_hash": spec.content_hash, "is_packed": spec.is_packed}
    return manifest is not None and layout.items() <= ({"is_packed": False} | manifest).items()


def open_arrays(spec: MapSpec, folder: Path) -> tuple[ImageArray, NDArray[np.uint8]]:
    """Open the images (N, C, H, W) and the attributes (N, A) of a map that has been made.

    Raises:
        InputError: a file is missing, cut or of another shape.
    """
    arrays = []
    for name, shape in _list_shapes(spec).items():
        try:
            array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(_describe_damage(spec, folder / name, "it is missing or cut")) from error
        if array.shape != shape or array.dtype != np.uint8:
            raise InputError(_describe_damage(spec, folder / name, f"it has the shape {array.shape}"))
        arrays.append(array)
    images, attributes = arrays
    return PackedArray(images) if spec.is_packed else images, attributes


def verify_map(spec: MapSpec, folder: Path) -> list[FileCheck]:
    """Compare every byte of a map with what it was made of."""
    try:
        images, attributes = open_arrays(spec, folder)
    except InputError as error:
        return [FileCheck(folder / IMAGES, str(error))]
    recorded = (_read_json(folder / MANIFEST) or {}).get("sha256")
    if (found := hash_arrays(images, attributes)) != recorded:
        return [FileCheck(folder / IMAGES, _describe_damage(spec, folder, f"SHA-256 is {found[:12]}..."))]
    return [FileCheck(folder / IMAGES), FileCheck(folder / ATTRIBUTES)]


def make_map(spec: MapSpec, painter: Painter, folder: Path, on_count: OnCount) -> None:
    """Make the map of a dataset, or what is missing of it; another process that makes the same is waited for.

    Raises:
        InputError: the folder cannot be written to, its disk is too full, or the images are not what they should be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not is_made(spec, folder):
                _make(spec, painter, folder, on_count)
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be written ({error.strerror}); {_make_elsewhere(spec)}"
        ) from error


def hash_arrays(*arrays: ImageArray) -> str:
    """SHA-256 in hex of the shapes and bytes of arrays, unpacked, which are read in pieces."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode())
        num_rows = max(1, HASHED_AT_ONCE // math.prod(array.shape[1:]))
        for first in range(0, len(array), num_rows):
            digest.update(np.ascontiguousarray(array[first : first + num_rows]).data)
    return digest.hexdigest()


def _list_shapes(spec: MapSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays as they are stored, by the names of their files."""
    num_images, (*shape, width) = spec.num_train + spec.num_test, spec.image_shape
    stored_width = width // 8 if spec.is_packed else width
    return {IMAGES: (num_images, *shape, stored_width), ATTRIBUTES: (num_images, len(spec.attributes))}


def _make(spec: MapSpec, painter: Painter, folder: Path, on_count: OnCount) -> None:
    import joblib

    num_images = spec.num_train + spec.num_test
    shapes = _list_shapes(spec)
    parts = [range(k, min(k + painter.num_at_once, num_images)) for k in range(0, num_images, painter.num_at_once)]
    begun = _read_json(folder / PARTS)
    layout = {"content_hash": spec.content_hash, "is_packed": spec.is_packed}
    recipe = layout | {"num_at_once": painter.num_at_once}
    done = set(begun["done"]) if begun is not None and recipe.items() <= begun.items() else set()
    if not done:
        _check_room(spec, folder, sum(int(np.prod(shape)) for shape in shapes.values()))
        (folder / MANIFEST).unlink(missing_ok=True)
        for name, shape in shapes.items():
            np.lib.format.open_memmap(folder / name, "w+", np.uint8, shape)
    for name in shapes:
        _take_room(folder / name)

    what = f"{spec.name}: images {spec.verb}"
    on_count(what, min(len(done) * painter.num_at_once, num_images), num_images)
    workers = joblib.Parallel(  # whose processes do not run the user's script again, as those of multiprocessing do
        min(count_cores(), len(parts)),
        return_as="generator_unordered",
        max_nbytes=None,
        idle_worker_timeout=10,  # seconds: if this process is killed, they end, too
    )
    left = [part for part in parts if part.start not in done]
    paint = joblib.delayed(_paint_part)
    try:
        for first in workers(paint(painter, part, folder, is_packed=spec.is_packed) for part in left):
            done.add(first)
            _write_json(folder / PARTS, recipe | {"done": sorted(done)})
            on_count(what, min(len(done) * painter.num_at_once, num_images), num_images)
    except BrokenProcessPool:
        raise InputError(
            f"{spec.name}: a process that made its images was killed, perhaps for lack of memory, or of room in "
            f"{folder}; free some, and run it again, which goes on with what is missing"
        ) from None

    found = hash_arrays(*open_arrays(spec, folder))
    if spec.sha256 not in (None, found):
        for name in (*shapes, PARTS):
            (folder / name).unlink(missing_ok=True)
        raise InputError(
            f"{spec.name}: its images came out with the SHA-256 {found[:12]}..., not {spec.sha256[:12]}..., so results "
            "on them could not be compared; run it with the versions that constraints.txt of spikeslab names"
        )
    manifest = {"dataset": spec.name, "sha256": found} | layout
    _write_json(folder / MANIFEST, manifest | {"attributes": spec.attributes, "num_train": spec.num_train})
    (folder / PARTS).unlink(missing_ok=True)


def _take_room(path: Path) -> None:
    """Give a file all its blocks: who writes to a memory map while its disk fills up is killed."""
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EINVAL):  # of a file system that has no such call
                raise


def _paint_part(painter: Painter, numbers: range, folder: Path, *, is_packed: bool) -> int:
    """Make the images of one part; returns the first number of it. To be run in a process of its own."""
    images, attributes = (np.load(folder / name, mmap_mode="r+") for name in (IMAGES, ATTRIBUTES))
    painter.paint(numbers, PackedArray(images) if is_packed else images, attributes)
    images.flush()
    attributes.flush()
    return numbers.start


def _describe_damage(spec: MapSpec, path: Path, flaw: str) -> str:
    folder = path if path.is_dir() else path.parent
    return f"{path} is not as it was made: {flaw}; delete {folder} and run: spikeslab data fetch {spec.name}"


def _make_elsewhere(spec: MapSpec) -> str:
    return f"make it elsewhere: spikeslab data fetch {spec.name} --data DIR, and run with --data DIR"


def _check_room(spec: MapSpec, folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise InputError(
            f"{folder}: the images take {num_bytes / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB free; "
            f"free some, or {_make_elsewhere(spec)}"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes the map in a folder.

    Raises:
        InputError: as of `open_lock`.
    """
    with open_lock(folder / ".lock") as file:
        with contextlib.suppress(OSError):  # a disk without locks: then two that make the same write the same
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(content), encoding="utf-8"))
