"""Lets others see the files of a study beside its trials, as the run that trains it writes them.

Trials share their own. SQLite's files are only ever used on this machine's disk; others get copies.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from harness.errors import first_line
from harness.ledger.fetching import MLFLOW, PACK, is_private
from harness.ledger.names import PLUGINS, RAY_LOG
from harness.storage import sqlite
from harness.storage.objects import PlaceError
from harness.storage.place import Hold, Place

SHARE_SECONDS = 5.0  # between two looks at what has changed
SHARE = 0.1  # of the time, at most, that a look takes: large tables are looked at less often
LOOK_SECONDS = 0.5

AT_THE_END = (RAY_LOG, PACK, *MLFLOW)
"""What changes all the time, or is not whole before; the pack comes last."""

FOLDERS = ("figures", "mlartifacts")
OF_SQLITE = ("-wal", "-shm", "-journal")

Stamp = tuple[tuple[int, int], ...]


class Sharing:
    """Shares what changes, in a thread, and all of it at the end; does nothing where others see the folder itself."""

    def __init__(self, place: Place, folder: Path, hold: Hold) -> None:
        self._place, self._folder, self._hold = place, folder, hold
        self.on_problem: Callable[[str], None] = lambda _: None  # is told, in the thread, why nothing more is shared
        self._shared: dict[Path, Stamp] = {}
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="sharing", daemon=True)

    def __enter__(self) -> Self:
        """Begin with all that is here counting as shared: it was fetched just now."""
        if self._place.is_remote:
            for path in self._list_files(is_end=True):
                self._shared[path] = _stamp(path)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Share the rest, unless somebody does not want to wait for it.

        Raises:
            PlaceError: that is not possible.
        """
        if self._place.is_remote:
            self._ending.set()
            self._wake.set()
            self._thread.join()
            if kind is None or issubclass(kind, Exception):
                self._share(is_end=True)

    def soon(self) -> None:
        """Share what has changed at once, in the thread."""
        self._wake.set()

    def _work(self) -> None:
        due = woken = 0.0
        while not self._ending.is_set():
            try:
                began = time.monotonic()
                if began > due or (self._wake.is_set() and began > woken):
                    self._wake.clear()
                    self._share(is_end=False)
                    now = time.monotonic()
                    # Woken, it takes half of the time at most: a large history is not copied at each proposal.
                    due, woken = now + max(SHARE_SECONDS, (now - began) / SHARE), now + (now - began)
                self._check_hold()
            except PlaceError as problem:
                self.on_problem(str(problem))
                return
            except (OSError, sqlite3.Error) as error:  # of a file that changes while it is read: it is looked at again
                logging.getLogger(__name__).warning("not shared yet (%s)", first_line(error))
                due = woken = time.monotonic() + LOOK_SECONDS
            if time.monotonic() > woken:
                self._wake.wait(LOOK_SECONDS)
            else:
                self._ending.wait(woken - time.monotonic())

    def find_lost_hold(self) -> str | None:
        """Say why this process works on the study no longer alone, if that is so."""
        problem = self._hold.problem
        return problem and f"{self._place.address}/{self._folder.name}: {problem}"

    def _check_hold(self) -> None:
        if (lost := self.find_lost_hold()) is not None:
            raise PlaceError(lost)

    def _share(self, *, is_end: bool) -> None:
        self._check_hold()
        for path in self._list_files(is_end=is_end):
            stamp = _stamp(path)
            if self._shared.get(path) != stamp:
                if path.suffix == ".db":
                    self._place.write(path, _copy_database(path))
                else:
                    self._place.share(path)
                self._shared[path] = stamp

    def _list_files(self, *, is_end: bool) -> Iterator[Path]:
        for path in sorted(self._folder.iterdir(), key=lambda path: path.name == PACK):
            is_due = is_end or path.name not in AT_THE_END
            if path.is_file() and is_due and not is_private(path) and not path.name.endswith(OF_SQLITE):
                if path.suffix == ".db" and path.stat().st_size == 0:
                    continue  # Optuna has only just made it
                yield path
        sources = (self._folder / PLUGINS).rglob("*")
        yield from (path for path in sources if path.is_file() and not is_private(path))
        for name in FOLDERS if is_end else ():
            yield from (path for path in (self._folder / name).rglob("*") if path.is_file())


def _stamp(path: Path) -> Stamp:
    """Changes with a file; with a database, also as long as its changes are in a file of their own."""
    files = (path, *(path.with_name(path.name + end) for end in OF_SQLITE if path.suffix == ".db"))
    stamps = []
    for file in files:
        with suppress(FileNotFoundError):
            stamps.append(((found := file.stat()).st_mtime_ns, found.st_size))
    return tuple(stamps)


def _copy_database(path: Path) -> bytes:
    with closing(sqlite.connect(path, read_only=True)) as connection, connection:
        connection.execute("BEGIN")
        return connection.serialize()
