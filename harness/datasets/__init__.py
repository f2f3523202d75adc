"""The datasets that studies train on: found, verified, loaded, and fetched where they are missing.

Needs neither Ray nor MLflow.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness import paths
from harness.datasets import digits
from harness.datasets.celeba import CelebA
from harness.datasets.dataset import Dataset, DatasetIdentity, FileCheck, Location, make_dataset
from harness.datasets.dsprites import Sprites
from harness.datasets.dsprites_file import PublishedSprites
from harness.datasets.faces import Faces
from harness.datasets.fashion_mnist import FASHION_MNIST
from harness.datasets.fetch import fetch
from harness.datasets.idx import IdxSpec
from harness.datasets.image_map import MapSpec, OnCount, is_made, verify_map
from harness.datasets.locations import ENVIRONMENT_VARIABLE, find_unreadable, locate, search_roots
from harness.datasets.mapped import fetch_map, find_map, load_map
from harness.datasets.mnist import MNIST
from harness.errors import InputError
from harness.paths import parse_path

__all__ = [
    "DATASET_NAMES",
    "Dataset",
    "DatasetIdentity",
    "DatasetName",
    "FileCheck",
    "Location",
    "fetch_dataset",
    "find_lack",
    "identify_dataset",
    "install_datasets",
    "load_dataset",
    "locate_dataset",
    "make_dataset",
    "verify_dataset",
]

_IDX_SPECS = {spec.name: spec for spec in (MNIST, FASHION_MNIST)}

_MAP_SPECS: dict[str, MapSpec] = {
    spec.name: spec
    for spec in (
        Faces("faces", 32, "68f11ff71b5cdd8267ac2b0d7ae317907ae2fadcdfda1de91efd9ef2621a0875"),
        Faces("faces-64", 64, "0b0bd4c230423551d72e398b77606bdbab04044fd6dd3fc035597bb4e1ceca8f"),
        Sprites("dsprites", 64, "7134e7cda3964d1a6c9fe50681aa5a52ff02c2cb85910b4f00c1f392b9f4962d"),
        Sprites("dsprites-32", 32, "e7c1ba6a47b194a7ab6c1b38b59ebcd1421e7ba316fa5a5f4476b9025ef9a29b"),
        PublishedSprites("dsprites-published", 64),
        PublishedSprites("dsprites-published-32", 32),
        CelebA("celeba", 32, "report", 100_000, 20_000),
        CelebA("celeba-64", 64, "report", 100_000, 20_000),
        CelebA("celeba-official", 32, "official", 162_770, 19_962),
        CelebA("celeba-official-64", 64, "official", 162_770, 19_962),
    )
}
"""Datasets that are made once, and then stay on the disk."""

DATASET_NAMES: tuple[str, ...] = ("digits", *_IDX_SPECS, *_MAP_SPECS)

if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[DATASET_NAMES]
"""The names that `dataset:` of a study file may give; what plug-ins add comes besides."""

_added: dict[str, Callable[[], Dataset]] = {}  # from plug-ins, by name


def install_datasets(added: Mapping[str, Callable[[], Dataset]]) -> None:
    """Make these the datasets of this process beside our own, in the place of those before; each is loaded once."""
    _added.clear()
    _added.update({name: cache(load) for name, load in added.items()})


def load_dataset(
    name: str, data_dir: str | os.PathLike[str] | None = None, on_count: OnCount = lambda *_: None
) -> Dataset:
    """Load a dataset and verify its files; images that are kept on the disk are made if they are not there.

    data_dir: a folder to look in first. on_count: is told how far they are.
    Raises InputError if the name is unknown, or if a file is missing or wrong.
    """
    folder = None if data_dir is None else parse_path(data_dir)
    if name in _added:
        return _added[name]()
    if name in _MAP_SPECS:
        return load_map(_MAP_SPECS[name], folder, on_count)
    spec = _spec(name)
    return digits.load_digits() if spec is None else spec.load(_folder(spec, folder))


def identify_dataset(name: str) -> DatasetIdentity:
    """Look up what identifies a dataset, without its files; raises InputError if its name is unknown."""
    if name in _added:
        return _added[name]()
    return _MAP_SPECS.get(name) or _spec(name) or digits.load_digits()


def locate_dataset(name: str, data_dir: Path | None = None) -> Location:
    """Find a dataset by the names of its files alone; raises InputError if its name is unknown."""
    if name in _MAP_SPECS:
        folder = find_map(_MAP_SPECS[name], data_dir)
        return Location(name, folder, searched=search_roots(data_dir), embedded=False)
    spec = _spec(name)
    if spec is None:
        return Location(name, folder=None, searched=(), embedded=True)
    return _locate(spec, data_dir)


def verify_dataset(name: str, data_dir: Path | None = None) -> list[FileCheck]:
    """Compare the bytes of every file of a dataset with what they should be; no files if the dataset is embedded.

    Raises InputError if the name is unknown or the dataset is not found.
    """
    if name in _MAP_SPECS:
        if (folder := find_map(_MAP_SPECS[name], data_dir)) is None:
            raise InputError(f"{name} has not been made on this machine; run: spikeslab data fetch {name}")
        return verify_map(_MAP_SPECS[name], folder)
    spec = _spec(name)
    return [] if spec is None else spec.verify(_folder(spec, data_dir))


def find_lack(name: str, folder: str, data_dir: str) -> str:
    """Why this machine neither has nor can make the images that another one has on its disk; empty where it can.

    folder: where the other has them. data_dir: that the user named, or empty.
    """
    spec, named = _MAP_SPECS[name], Path(data_dir) if data_dir else None
    try:
        if not is_made(spec, Path(folder)) and find_map(spec, named) is None:
            spec.find_painter(named)
    except InputError as error:
        return f"lacks the images: {error}"
    return ""


def fetch_dataset(
    name: str, data_dir: Path | None = None, *, on_progress: Callable[[str], None], on_count: OnCount = lambda *_: None
) -> Path:
    """Put a dataset into `data_dir`, or into the user's cache, unless it is there and its bytes are right.

    It is downloaded; or drawn, or read from the files that the user has, where it is kept as a memory map.
    on_progress: is called with each step as a sentence. on_count: is told how far a memory map is.
    Returns the folder that holds the dataset; scikit-learn's for the embedded one.
    Raises InputError if the name is unknown, the folder cannot be written to, or no download has the dataset.
    """
    if name in _MAP_SPECS:
        return fetch_map(_MAP_SPECS[name], data_dir, on_progress, on_count)
    spec = _spec(name)
    if spec is None:
        on_progress(f"{name} is embedded: nothing to fetch")
        return digits.package_folder()
    found = _locate(spec, data_dir).folder
    # A copy elsewhere is enough, unless the user asks for one in a folder of their choice.
    if found is not None and (data_dir is None or found.is_relative_to(data_dir)) and _is_right(spec, found):
        on_progress(f"{name} is already in {found}, and its bytes are right: nothing to do")
        return found
    destination = (paths.user_cache() if data_dir is None else data_dir) / name
    if not _is_right(spec, destination):
        fetch(spec, destination, on_progress)
    used = _locate(spec, data_dir).folder
    if used != destination:
        on_progress(f"{name} in {used} is damaged, but is found before {destination}: give --data {destination.parent}")
    return destination


def _spec(name: str) -> IdxSpec | None:
    """The specification of an idx dataset; None for digits, which is embedded."""
    if name not in DATASET_NAMES:
        raise InputError(f"no dataset is called {name!r}; choose one of: {', '.join(DATASET_NAMES)}")
    return _IDX_SPECS.get(name)


def _locate(spec: IdxSpec, data_dir: Path | None) -> Location:
    return locate(spec, data_dir, others=[other for other in _IDX_SPECS.values() if other is not spec])


def _folder(spec: IdxSpec, data_dir: Path | None) -> Path:
    location = _locate(spec, data_dir)
    if location.folder is None:
        if (closed := find_unreadable(location, spec)) is not None:
            raise InputError(
                f"{closed}: no right to look into it for {spec.name}; ask its owner to run: chmod a+rx {closed}"
            )
        searched = ", ".join(str(root) for root in location.searched)
        raise InputError(
            f"dataset {spec.name} was not found in any of: {searched} (nor in {spec.name}/, "
            f"{spec.torchvision_name}/ and raw/ there); run: spikeslab data fetch {spec.name}, "
            f"or name its folder with --data or ${ENVIRONMENT_VARIABLE}"
        )
    return location.folder


def _is_right(spec: IdxSpec, folder: Path) -> bool:
    return all(check.ok for check in spec.verify(folder))
