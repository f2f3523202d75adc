"""Datasets in memory maps: found or made, loaded, and handed to other processes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import paths
from harness.datasets import locations
from harness.datasets.dataset import Dataset, Rows
from harness.datasets.image_map import MapSpec, OnCount, is_made, make_map, open_arrays, verify_map
from harness.datasets.packed import PackedArray
from harness.errors import InputError

MAPS_FOLDER = "maps"
"""The folder for them in the user's cache, and in a folder of the user's."""


@dataclass(frozen=True, eq=False)
class MappedDataset(Dataset):
    """A dataset whose images are memory maps. Another process of the machine opens the same file again."""

    spec: MapSpec
    folder: Path
    data_dir: Path | None = None  # that the user named, where another machine finds what its map is made of

    @property
    def kept(self) -> tuple[str, ...]:
        """See Dataset."""
        return self.name, str(self.folder), str(self.data_dir or "")

    def hold_out(self, num_held_out: int, seed: int) -> tuple[Rows, Rows]:  # noqa: ARG002
        """Hold out the last training images, whose order is random: a slice of a map is no copy."""
        first = self.num_train - num_held_out
        return slice(first), slice(first, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.spec, self.folder, self.data_dir)


def find_map(spec: MapSpec, data_dir: Path | None) -> Path | None:
    """Find the folder that holds the whole map of a dataset; None if there is none."""
    folders = (root / MAPS_FOLDER / spec.name for root in locations.search_roots(data_dir))
    return next((folder for folder in folders if is_made(spec, folder)), None)


def load_map(spec: MapSpec, data_dir: Path | None, on_count: OnCount = lambda *_: None) -> MappedDataset:
    """Load a dataset, every byte verified; its map is made in the user's cache if there is none.

    Raises:
        InputError: it is damaged or cannot be made.
    """
    if (folder := find_map(spec, data_dir)) is None:
        folder = _name_folder(spec, None)
        make_map(spec, spec.find_painter(data_dir), folder, on_count)
    else:
        _check(spec, folder)
    return open_map(spec, folder, data_dir)


def fetch_map(spec: MapSpec, data_dir: Path | None, on_progress: Callable[[str], None], on_count: OnCount) -> Path:
    """Make the map of a dataset in a folder of the user's, or in the user's cache, unless it is there; returns where.

    Raises:
        InputError: it is damaged or cannot be made.
    """
    folder = _name_folder(spec, data_dir)
    if is_made(spec, folder):
        _check(spec, folder)
        on_progress(f"{spec.name} is already in {folder}, and its bytes are right: nothing to do")
    else:
        make_map(spec, spec.find_painter(data_dir), folder, on_count)
        on_progress(f"{spec.name}: {spec.verb}, verified and put into {folder}")
    return folder


def open_map(spec: MapSpec, folder: Path, data_dir: Path | None = None) -> MappedDataset:
    """Open a map that has been made. data_dir: see MappedDataset.

    Raises:
        InputError: a file is missing, cut or of another shape.
    """
    images, attributes = open_arrays(spec, folder)
    labels = np.ascontiguousarray(attributes[:, spec.attributes.index(spec.label)])
    labels.setflags(write=False)
    n = spec.num_train
    test_images = images[n:]
    if isinstance(test_images, PackedArray):  # few enough
        test_images = np.asarray(test_images)
        test_images.setflags(write=False)
    arrays = images[:n], labels[:n], test_images, labels[n:]
    return MappedDataset(
        spec.name,
        *arrays,
        spec.content_hash,
        spec,
        folder,
        data_dir,
        factors=spec.factors,
        train_factors=attributes[:n] if spec.factors else None,
    )


def _reopen(spec: MapSpec, folder: Path, data_dir: Path | None) -> MappedDataset:
    """Open the map that another process has opened; on a machine that lacks its folder, find it or make it."""
    return open_map(spec, folder, data_dir) if is_made(spec, folder) else load_map(spec, data_dir)


def _name_folder(spec: MapSpec, data_dir: Path | None) -> Path:
    return (paths.user_cache() if data_dir is None else data_dir) / MAPS_FOLDER / spec.name


def _check(spec: MapSpec, folder: Path) -> None:
    if problems := [check.problem for check in verify_map(spec, folder) if check.problem]:
        raise InputError(problems[0])
