"""Datasets in four idx files, gzipped or not, each verified by its shape and its SHA-256."""

import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import Dataset, FileCheck
from harness.datasets.downloads import Download
from harness.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8


class FlawError(Exception):
    """What is wrong with a file, as the end of a sentence that begins with its name, and the fix, if not a new file."""

    def __init__(self, flaw: str, fix: str | None = None) -> None:
        super().__init__(flaw)
        self.fix = fix


@dataclass(frozen=True)
class IdxFile:
    """One idx file of unsigned bytes: name, shape of its array, SHA-256 of its decompressed bytes."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the file may have, the quickest to read first."""
        dotted = self.name.replace("-idx", ".idx")
        return self.name, dotted, f"{self.name}.gz", f"{dotted}.gz"

    def find(self, folder: Path) -> Path | None:
        """Find the file in a folder, or, as in Kaggle's archives, in one of its own name there; None if it is not."""
        paths = (path for name in self.names for path in (folder / name, folder / name / name))
        # Not Path.is_file, which raises an error in a folder without permission to read.
        return next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113

    def read(self, path: Path) -> bytes:
        """Read the decompressed bytes of the file at a path; raises FlawError unless they are right."""
        # Not torchvision's reader: it reads no gzip, asserts instead of explaining, and is slow to import.
        num_values = math.prod(self.shape)
        header = struct.pack(f">BBBB{len(self.shape)}I", 0, 0, UNSIGNED_BYTE, len(self.shape), *self.shape)
        try:
            content = path.read_bytes()
        except PermissionError as error:
            raise FlawError(f"cannot be read ({error.strerror})", f"ask its owner to run: chmod a+r {path}") from error
        except OSError as error:
            raise FlawError(f"cannot be read ({error.strerror})", "try again, or use a copy on another disk") from error
        if path.suffix == ".gz" or content.startswith(GZIP_MAGIC):
            content = _gunzip(content, limit=len(header) + num_values + 1)
        magic, right_magic = content[:4].hex(), header[:4].hex()
        if magic != right_magic:
            raise FlawError(f"has the wrong magic: it starts with {magic or 'nothing'}, not {right_magic}")
        if len(content) < len(header):
            raise FlawError("is truncated: it ends within its header")
        if content[: len(header)] != header:
            shape = struct.unpack_from(f">{len(self.shape)}I", content, 4)
            raise FlawError(f"has the wrong count: it holds {_times(shape)} values, not {_times(self.shape)}")
        if len(content) != len(header) + num_values:
            flaw = "is truncated: it holds fewer" if len(content) < len(header) + num_values else "holds more"
            raise FlawError(f"{flaw} than the {_times(self.shape)} values that its header promises")
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self.sha256:
            raise FlawError(f"has the wrong contents: their SHA-256 is {sha256[:12]}..., not {self.sha256[:12]}...")
        return content

    def to_array(self, content: bytes) -> NDArray[np.uint8]:
        """View bytes that `read` returned as an array of the file's shape: no copy, so it is read-only."""
        return np.frombuffer(content, np.uint8, offset=4 + 4 * len(self.shape)).reshape(self.shape)


@dataclass(frozen=True)
class IdxSpec:
    """A dataset in four idx files, and the downloads that have them, in the order to try."""

    name: str
    torchvision_name: str
    train_images: IdxFile
    train_labels: IdxFile
    test_images: IdxFile
    test_labels: IdxFile
    downloads: tuple[Download, ...]

    @property
    def files(self) -> tuple[IdxFile, ...]:
        """The four files, in the order of Dataset's fields."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels

    @property
    def factors(self) -> tuple[str, ...]:
        """See DatasetIdentity: of photographs and handwriting they are not known."""
        return ()

    @property
    def num_train(self) -> int:
        """How many training images there are."""
        return self.train_images.shape[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, height, width = self.train_images.shape
        return 1, height, width

    @property
    def content_hash(self) -> str:
        """SHA-256 over the hashes of the four files, which determine the arrays."""
        return hashlib.sha256("\n".join(file.sha256 for file in self.files).encode()).hexdigest()

    def load(self, folder: Path) -> Dataset:
        """Load the dataset from a folder; raises InputError for the first file that is missing or wrong."""
        arrays = [file.to_array(self._read(file, folder)) for file in self.files]
        train_images, train_labels, test_images, test_labels = arrays
        return Dataset(
            self.name,
            train_images[:, np.newaxis],
            train_labels,
            test_images[:, np.newaxis],
            test_labels,
            self.content_hash,
        )

    def verify(self, folder: Path) -> list[FileCheck]:
        """Compare each of the four files in a folder with its shape and SHA-256."""
        checks = []
        for file in self.files:
            path = file.find(folder) or folder / file.name
            try:
                self._read(file, folder)
                checks.append(FileCheck(path))
            except InputError as error:
                checks.append(FileCheck(path, str(error)))
        return checks

    def _read(self, file: IdxFile, folder: Path) -> bytes:
        fetch = f"spikeslab data fetch {self.name}"
        path = file.find(folder)
        if path is None:
            raise InputError(f"{folder / file.name} (or .gz) is missing; run: {fetch}")
        try:
            return file.read(path)
        except FlawError as flaw:
            is_own = path.stat().st_uid == os.geteuid()
            renew = f"delete it and run: {fetch}" if is_own else f"get a copy of your own: {fetch} --data DIR"
            raise InputError(f"{path} {flaw}; {flaw.fix or renew}") from flaw


def _gunzip(content: bytes, limit: int) -> bytes:
    """Decompress at most `limit` bytes of all members: enough to see that a file is too long."""
    if content and not content.startswith(GZIP_MAGIC):
        raise FlawError("is not gzip, though its name says so")
    unpacked = b""
    while True:
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked += stream.decompress(content, limit - len(unpacked))
        except zlib.error as error:
            raise FlawError("is damaged: its gzip stream cannot be unpacked") from error
        if len(unpacked) == limit:
            return unpacked
        if not stream.eof:
            raise FlawError("is truncated: its gzip stream ends too soon")
        content = stream.unused_data
        if not content.startswith(GZIP_MAGIC):  # what lies behind the last member is none of it, as for gunzip
            return unpacked


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
