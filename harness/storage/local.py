"""Files that are written atomically, folders that one process uses at a time, and such that only one user opens."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from analysis.files import write_atomically
from harness.errors import InputError
from harness.paths import open_lock

__all__ = [
    "check_writable",
    "database_uri",
    "is_locked",
    "locked",
    "make_private",
    "private_folder",
    "write_atomically",
    "write_copy",
    "write_text_atomically",
]


def database_uri(path: Path) -> str:
    """The address of an SQLite database, whatever characters its path has.

    With the name of its driver: where that is left out, MLflow makes the folders of the path as they are quoted.
    """
    from sqlalchemy import URL

    return URL.create("sqlite+pysqlite", database=str(path.absolute())).render_as_string()


def write_text_atomically(path: Path, text: str) -> None:
    """Write a short text as `write_atomically` does."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_copy(path: Path, content: bytes) -> None:
    """Write a copy of what is kept elsewhere, whole or not at all; it need not outlive a power cut."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content), is_durable=False)


def check_writable(folder: Path, num_bytes: int, *, option: str = "--results") -> None:
    """Make a folder, and check that it can be written to and that `num_bytes` fit on its disk.

    option: the one that names another folder.

    Raises:
        InputError: it cannot be made or written to, or its disk is too full.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError:  # files could be written there, but neither tables nor a database
        raise InputError(f"{folder}: its name is not UTF-8; choose another folder with {option}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror}); choose another folder with {option}"
        ) from None
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise InputError(
            f"{folder}: {free / 1e6:,.0f} MB free, but this study needs about {num_bytes / 1e6:,.0f} MB; "
            f"free some space, or choose another folder with {option}"
        )


def private_folder(shared: Path) -> Path:
    """The folder of this user's alone in one where all may write, such as that of temporary files."""
    return shared / f"spikeslab-{os.getuid()}"


def make_private(folder: Path) -> None:
    """Make a folder that this user alone opens.

    Raises:
        InputError: it cannot be made, or something else has its name.
    """
    reason = "is not of this user alone"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()  # who made it first, if not we, may have made it a link
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return
    except OSError as error:
        reason = f"cannot be made a folder ({error.strerror})"
    raise InputError(f"{folder}: {reason}; delete it, or set TMPDIR to a folder of your own")


@contextmanager
def locked(path: Path, *, refusal: str | None = None) -> Iterator[IO[str]]:
    """Hold a lock file. The system releases it when the process ends, however it ends.

    refusal: the message if another process holds it; None: wait until it is free.

    Raises:
        InputError: another process holds it, and there is a refusal; its file system has no locks; or it is a link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as file:
        for patience in (0.2, 0.2, 0.0):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if refusal is None else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if not patience:
                    raise InputError(str(refusal)) from None
                time.sleep(patience)  # `is_locked` of another process holds it for a moment
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                    raise
                raise InputError(
                    f"{path}: its file system has no locks ({error.strerror}); mount it with the option flock, or "
                    "choose another folder with --results"
                ) from None
        yield file


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock file, as far as can be seen; the file need only be readable."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or it is another user's
        return False
    return False
