"""Where the results of studies are kept: in a folder that all who work on them see, or in a bucket."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from harness.storage.local import check_writable, is_locked, locked, write_atomically

LOCK = ".lock"
"""In the folder of a study: held by the run that trains it."""


@dataclass(frozen=True)
class Item:
    """A file that a place keeps."""

    path: Path  # where it is, or would be, on this machine
    size: int  # bytes
    tag: str  # changes with its content


class Hold(Protocol):
    """A study that this process alone works on."""

    @property
    def problem(self) -> str | None:
        """Why that is no longer so."""


class Place(Protocol):
    """Keeps the results of studies, a folder each, for all machines that work on them.

    Work is done on files of this machine, in `folder`. `fetch` brings there what others have put, and `share` puts what
    was written there, each file whole or not at all; where `folder` itself is what everybody sees, they do nothing.
    """

    @property
    def address(self) -> str:
        """What the user calls it."""

    @property
    def folder(self) -> Path:
        """The folder of this machine that has a folder for each study."""

    @property
    def is_remote(self) -> bool:
        """Whether others do not see what is written to the folder until it is shared."""

    def check(self, study: str = "") -> None:
        """Check that it can be written to.

        Raises:
            InputError: it cannot; why, and what helps.
        """

    def list_folders(self, folder: Path) -> Sequence[str]:
        """List the names of the folders that others see in a folder."""

    def list(self, folder: Path, *, deep: bool = True) -> Sequence[Item]:
        """List the files that are to be fetched to a folder, and to those below it."""

    def fetch(self, items: Iterable[Item]) -> None:
        """Bring files here, unless they are here already."""

    def fetch_file(self, path: Path) -> None:
        """Bring one file here, if there is any."""

    def read_start(self, path: Path, length: int) -> bytes:
        """Read the first bytes of a file without bringing it here."""

    def share(self, *paths: Path) -> None:
        """Put files of this machine where others see them."""

    def write(self, path: Path, content: bytes) -> None:
        """Let others see another content of a file than this machine has."""

    def remove(self, *paths: Path) -> None:
        """Delete files for all; those that are not there are passed over."""

    def hold(self, study: str, refusal: str) -> AbstractContextManager[Hold]:
        """Work on a study alone.

        Raises:
            InputError: another process works on it; `refusal` says so.
        """

    def is_held(self, study: str) -> bool:
        """Whether a process works on a study now, as far as can be seen."""

    def name(self, path: Path) -> str:
        """What a file is called on every machine: its path, or its address."""

    def for_trials(self) -> "Place":
        """The same place, for a process that trains trials, on whatever machine."""


@dataclass(frozen=True)
class _Locked:
    lock: IO[str]
    path: Path

    @property
    def problem(self) -> str | None:
        """See Hold: a lock is lost with its process, and with its folder."""
        try:
            is_there = os.path.samestat(os.fstat(self.lock.fileno()), self.path.stat())
        except FileNotFoundError:
            is_there = False
        except OSError:  # a shared folder that does not answer now
            is_there = True
        return None if is_there else "it was moved or deleted while it was run; put it back, or run the study again"


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that all machines of a cluster share."""

    folder: Path
    is_remote = False

    @property
    def address(self) -> str:
        """Its path, as the user wrote it."""
        return str(self.folder)

    def __str__(self) -> str:
        return self.address

    def check(self, study: str = "") -> None:
        """See Place."""
        check_writable(self.folder / study, 0)

    def list_folders(self, folder: Path) -> Sequence[str]:
        """See Place."""
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def list(self, folder: Path, *, deep: bool = True) -> Sequence[Item]:  # noqa: ARG002
        """See Place: nothing is to be fetched."""
        return []

    def fetch(self, items: Iterable[Item]) -> None:
        """See Place: all is here."""

    def fetch_file(self, path: Path) -> None:
        """See Place: it is here."""

    def read_start(self, path: Path, length: int) -> bytes:
        """See Place."""
        with path.open("rb") as file:
            return file.read(length)

    def share(self, *paths: Path) -> None:
        """See Place: others see them."""

    def write(self, path: Path, content: bytes) -> None:
        """See Place: there is one content for all."""
        write_atomically(path, lambda temporary: temporary.write_bytes(content))

    def remove(self, *paths: Path) -> None:
        """See Place."""
        for path in paths:
            path.unlink(missing_ok=True)

    @contextmanager
    def hold(self, study: str, refusal: str) -> Iterator[Hold]:
        """See Place."""
        path = self.folder / study / LOCK
        with locked(path, refusal=refusal) as lock:
            yield _Locked(lock, path)

    def is_held(self, study: str) -> bool:
        """See Place."""
        return is_locked(self.folder / study / LOCK)

    def name(self, path: Path) -> str:
        """See Place."""
        return str(path)

    def for_trials(self) -> "Folder":
        """See Place."""
        return Folder(self.folder.absolute())


HERE = Folder(Path())
"""For files that are seen by all who need them where they are written."""
