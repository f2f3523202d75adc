"""Where the files of a dataset may lie, and where they do."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import platformdirs

from harness.datasets.dataset import Location
from harness.datasets.idx import FlawError, IdxSpec

ENVIRONMENT_VARIABLE = "SPIKESLAB_DATA"
DEBIAN_FOLDER = Path("/usr/share/datasets")  # of the package dataset-fashion-mnist


def user_cache() -> Path:
    """The user's cache of spikeslab, where fetched datasets go; it need not exist yet."""
    return platformdirs.user_cache_path("spikeslab")


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """The folders to look in, in order, each once."""
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    roots = [
        data_dir,
        Path(from_environment).expanduser() if from_environment else None,
        user_cache(),
        DEBIAN_FOLDER,
    ]
    return tuple(dict.fromkeys(root for root in roots if root is not None))


def locate(spec: IdxSpec, data_dir: Path | None, others: Iterable[IdxSpec] = ()) -> Location:
    """The first folder with all four files; failing that, the first with any of them.

    others: datasets that share file names with this one.
    """
    roots = search_roots(data_dir)
    folders = list(_candidates(spec, roots, others))
    whole = (folder for folder in folders if all(file.find(folder) for file in spec.files))
    partial = (folder for folder in folders if any(file.find(folder) for file in spec.files))
    return Location(spec.name, next(whole, None) or next(partial, None), roots, embedded=False)


def _candidates(spec: IdxSpec, roots: Iterable[Path], others: Iterable[IdxSpec]) -> Iterator[Path]:
    for root in roots:
        yield root / spec.name
        yield root / spec.torchvision_name / "raw"
        # mnist and fashion-mnist name their files alike, and the name of a root does not tell them apart.
        if not any(_holds(other, root) for other in others):
            yield root


def _holds(spec: IdxSpec, folder: Path) -> bool:
    """Whether the smallest file in the folder is that of this dataset."""
    path = spec.test_labels.find(folder)
    try:
        return path is not None and bool(spec.test_labels.read(path))
    except FlawError:
        return False
