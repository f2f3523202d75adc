"""Which studies of the same results have a training, too: looked up for all trainings together, not for each trial."""

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from harness.ledger.names import TRIALS
from harness.storage.objects import in_parallel
from harness.storage.place import HERE, Place

HOLDS_SECONDS = 60.0
"""How long what a bucket has is remembered, by each process for itself.

What another study began since is not seen: at worst it trains twice. Only the process that trains a trial knows whether
it took a state over.
"""

_remembered: dict[tuple[str, Path, int], "Trainings"] = {}  # the last alone
_listing = threading.Lock()  # many threads of one process ask at once


class Trainings:
    """The trainings that the studies of a results folder have; they are listed once, when the first is asked for."""

    def __init__(self, results: Path, place: Place = HERE) -> None:
        self._results, self._place = results, place

    @cached_property
    def _by_study(self) -> Mapping[Path, Collection[str]]:
        if self._place.is_remote:
            folders = [self._results / study / TRIALS for study in self._place.list_folders(self._results)]
            listed: Iterable[Iterable[str]] = in_parallel(self._place.list_folders, folders)
        else:
            folders = [self._results / study / TRIALS for study in sorted(_list_names(self._results))]
            listed = map(_list_names, folders)
        return {folder: frozenset(names) for folder, names in zip(folders, listed, strict=True)}

    def find_twins(self, folder: Path) -> list[Path]:
        """The folders of a training in other studies, in the order of their names. folder: that of one."""
        return [
            trials / folder.name
            for trials, names in self._by_study.items()
            if folder.name in names and trials != folder.parent
        ]


def find_twins_in_bucket(place: Place, folder: Path) -> list[Path]:
    """The folders of a training in other studies, as a bucket had them within the last minute; see `find_twins`."""
    key = (place.address, folder.parents[2], int(time.monotonic() // HOLDS_SECONDS))
    with _listing:
        if key not in _remembered:
            _remembered.clear()
            _remembered[key] = Trainings(folder.parents[2], place)
        return _remembered[key].find_twins(folder)


def _list_names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # another user may keep theirs to themselves
        return [path.name for path in folder.iterdir()]
    return []
