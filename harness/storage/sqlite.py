"""SQLite files that are busy, damaged, of another version or not to be written: five different things."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

BUSY_SECONDS = 120.0
"""How long a database that another program holds is waited for: a backup, a dashboard, a copy."""

NOTICE_SECONDS = 3.0
"""Of waiting, after which it is said."""

OWN_SECONDS = 0.2  # our own writing takes less

log = logging.getLogger("spikeslab")


def connect(path: Path, *, read_only: bool, timeout: float | None = None) -> sqlite3.Connection:
    """Open a database that exists; statements wait while others hold it."""
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"
    seconds = BUSY_SECONDS if timeout is None else timeout
    return sqlite3.connect(uri, uri=True, timeout=seconds, check_same_thread=False)


def is_damaged(path: Path) -> bool:
    """Whether a file is there that is no database; one that is busy or may not be read is not damaged."""
    if not path.exists():
        return False
    try:
        with closing(connect(path, read_only=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
    return False


def move_aside(path: Path) -> Path:
    """Rename a damaged database, with what belongs to it, so that nothing of it is lost; returns its new path."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-journal", "-wal", "-shm"):  # a stale journal would be played into a new database
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def telling_of_waits(path: Path) -> Iterator[None]:
    """Say so if what is done meanwhile waits for a database that another program holds."""
    timer = threading.Timer(NOTICE_SECONDS, _tell_if_busy, [path])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell_if_busy(path: Path) -> None:
    try:
        with closing(connect(path, read_only=False, timeout=OWN_SECONDS)) as probe:
            probe.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            log.warning("%s is in use by another program; waiting for it, up to %.0f s", path, BUSY_SECONDS)
