"""Datasets of ten images in idx files, instead of 70,000, and no folder of this machine."""

import dataclasses
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from harness import datasets
from harness.datasets import downloads
from harness.datasets.idx import IdxFile, IdxSpec

NUM_TRAIN, NUM_TEST = 7, 3
FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_contents(seed: int) -> dict[str, bytes]:
    """The four files of a dataset of ten random images, by name, in the order of IdxSpec.files."""
    rng = np.random.default_rng(seed)
    contents = {}
    for prefix, count in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        contents[f"{prefix}-images-idx3-ubyte"] = idx_bytes(rng.integers(0, 256, (count, 28, 28), np.uint8))
        contents[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(rng.integers(0, 10, count, np.uint8))
    return contents


def make_spec(name: str, contents: dict[str, bytes]) -> IdxSpec:
    files = [
        IdxFile(file, struct.unpack_from(f">{content[3]}I", content, 4), hashlib.sha256(content).hexdigest())
        for file, content in contents.items()
    ]
    return IdxSpec(name, FOLDERS[name], *files, downloads=())


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


CONTENTS = make_contents(seed=1)
FASHION_CONTENTS = make_contents(seed=2)
IMAGES = "train-images-idx3-ubyte"
GOOD = CONTENTS[IMAGES]
SPECS = {
    "mnist": make_spec("mnist", CONTENTS),
    "fashion-mnist": make_spec("fashion-mnist", FASHION_CONTENTS),
}


def zipped(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in contents.items()}


def zipped_in_members(contents: dict[str, bytes]) -> dict[str, bytes]:
    """As bgzip does it, which ends with an empty member, and with something behind it that gunzip passes over."""
    parts = {name: (content[:5], content[5:], b"") for name, content in contents.items()}
    return {f"{name}.gz": b"".join(map(gzip.compress, own)) + b"more" for name, own in parts.items()}


def set_downloads(monkeypatch: pytest.MonkeyPatch, *given: downloads.Download) -> None:
    spec = dataclasses.replace(SPECS["mnist"], downloads=given)
    monkeypatch.setattr(datasets, "_IDX_SPECS", {**SPECS, "mnist": spec})
