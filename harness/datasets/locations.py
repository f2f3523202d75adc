"""Find the folder that holds the files of a dataset."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import paths
from harness.datasets.dataset import Location
from harness.datasets.idx import FlawError, IdxSpec
from harness.paths import parse_path

ENVIRONMENT_VARIABLE = "SPIKESLAB_DATA"
DEBIAN_FOLDER = Path("/usr/share/datasets")  # of the package dataset-fashion-mnist


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """List the folders to search, in order, each once."""
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    roots = [
        data_dir,
        parse_path(from_environment) if from_environment else None,
        paths.user_cache(),
        DEBIAN_FOLDER,
    ]
    return tuple(dict.fromkeys(root for root in roots if root is not None))


def locate(spec: IdxSpec, data_dir: Path | None, others: Iterable[IdxSpec] = ()) -> Location:
    """Find the first folder with all four files, or, if there is none, the first with any of them.

    others: datasets that share file names with this one.
    """
    roots = search_roots(data_dir)
    folders = list(_candidates(spec, roots, others))
    whole = (folder for folder in folders if all(file.find(folder) for file in spec.files))
    partial = (folder for folder in folders if any(file.find(folder) for file in spec.files))
    return Location(spec.name, next(whole, None) or next(partial, None), roots, embedded=False)


def _candidates(spec: IdxSpec, roots: Iterable[Path], others: Iterable[IdxSpec]) -> Iterator[Path]:
    """The folders of each root, whichever level of torchvision's, Debian's or Kaggle's layout the root is."""
    others, theirs = list(others), spec.torchvision_name
    for root in roots:
        yield root / spec.name
        yield root / theirs / "raw"
        named = [root / spec.name / inner for inner in (spec.name, "raw", f"{theirs}/raw", theirs)]
        unnamed = [root, root / "raw"]
        # The files of mnist and fashion-mnist have the same names, so names do not tell which one a folder holds.
        yield from (folder for folder in unnamed if not any(_holds(other, folder) for other in others))
        yield from (root / theirs, *named)


def find_unreadable(location: Location, spec: IdxSpec) -> Path | None:
    """The first folder where the user says that the dataset is, but that this user has no right to look into."""
    named = [root for root in location.searched if root not in (paths.user_cache(), DEBIAN_FOLDER)]
    for folder in _candidates(spec, named, ()):
        path = inside = folder.absolute() / spec.test_labels.name
        while _is_refused(path):
            path = path.parent
        if path != inside:
            return path
    return None


def _is_refused(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def _holds(spec: IdxSpec, folder: Path) -> bool:
    """Whether the smallest file in a folder is this dataset's."""
    path = spec.test_labels.find(folder)
    try:
        return path is not None and bool(spec.test_labels.read(path))
    except FlawError:
        return False
