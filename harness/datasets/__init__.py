"""The datasets that studies train on: found, verified, loaded, and fetched where they are missing.

Needs neither Ray nor MLflow.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from harness.datasets import digits
from harness.datasets.dataset import Dataset, DatasetIdentity, FileCheck, Location, make_dataset
from harness.datasets.fashion_mnist import FASHION_MNIST
from harness.datasets.fetch import fetch
from harness.datasets.idx import IdxSpec
from harness.datasets.locations import ENVIRONMENT_VARIABLE, find_unreadable, locate, user_cache
from harness.datasets.mnist import MNIST
from harness.errors import InputError

__all__ = [
    "DATASET_NAMES",
    "Dataset",
    "DatasetIdentity",
    "FileCheck",
    "Location",
    "fetch_dataset",
    "identify_dataset",
    "install_datasets",
    "load_dataset",
    "locate_dataset",
    "make_dataset",
    "verify_dataset",
]

_IDX_SPECS = {spec.name: spec for spec in (MNIST, FASHION_MNIST)}

DATASET_NAMES: tuple[str, ...] = (digits.NAME, *_IDX_SPECS)

_added: dict[str, Callable[[], Dataset]] = {}  # from plug-ins, by name


def install_datasets(added: Mapping[str, Callable[[], Dataset]]) -> None:
    """Make these the datasets of this process beside our own, in the place of those before; each is loaded once."""
    _added.clear()
    _added.update({name: cache(load) for name, load in added.items()})


def load_dataset(name: str, data_dir: Path | None = None) -> Dataset:
    """Load a dataset into memory and verify its files.

    data_dir: a folder to look in first.
    Raises InputError if the name is unknown, or if a file is missing or wrong.
    """
    if name in _added:
        return _added[name]()
    spec = _spec(name)
    return digits.load_digits() if spec is None else spec.load(_folder(spec, data_dir))


def identify_dataset(name: str) -> DatasetIdentity:
    """Look up what identifies a dataset, without its files; raises InputError if its name is unknown."""
    return _added[name]() if name in _added else _spec(name) or digits.load_digits()


def locate_dataset(name: str, data_dir: Path | None = None) -> Location:
    """Find a dataset by the names of its files alone; raises InputError if its name is unknown."""
    spec = _spec(name)
    if spec is None:
        return Location(name, folder=None, searched=(), embedded=True)
    return _locate(spec, data_dir)


def verify_dataset(name: str, data_dir: Path | None = None) -> list[FileCheck]:
    """Compare the bytes of every file of a dataset with what they should be; no files if the dataset is embedded.

    Raises InputError if the name is unknown or the dataset is not found.
    """
    spec = _spec(name)
    return [] if spec is None else spec.verify(_folder(spec, data_dir))


def fetch_dataset(name: str, data_dir: Path | None = None, *, on_progress: Callable[[str], None]) -> Path:
    """Download a dataset to `data_dir/<name>`, or into the user's cache, unless it is there and its bytes are right.

    on_progress: is called with each step as a sentence.
    Returns the folder that holds the dataset; scikit-learn's for the embedded one.
    Raises InputError if the name is unknown, the folder cannot be written to, or no source has the dataset.
    """
    spec = _spec(name)
    if spec is None:
        on_progress(f"{name} is embedded: nothing to fetch")
        return digits.package_folder()
    found = _locate(spec, data_dir).folder
    # A copy elsewhere is enough, unless the user asks for one in a folder of their choice.
    if found is not None and (data_dir is None or found.is_relative_to(data_dir)) and _is_right(spec, found):
        on_progress(f"{name} is already in {found}, and its bytes are right: nothing to do")
        return found
    destination = (user_cache() if data_dir is None else data_dir) / name
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
