"""MLflow's database written ahead while a study runs, so that its many small changes do not wait for the disk.

A change waits for the disk some three times, and a trial is sent with six: on a disk of 5 ms that is 90 ms a trial.
Written ahead, SQLite appends changes to a file beside the database (https://www.sqlite.org/wal.html) and waits now and
then. The database stays whole whatever happens; if the power fails, the last changes may be lost, and are sent again,
since the trials' folders hold everything. A killed process loses nothing.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import psutil

from harness.storage import sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LOCAL_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs", "apfs"})
"""Those of one machine. Over a network, processes of two machines would destroy a database that is written ahead."""


class WriteAhead:
    """Writes a database ahead from `begin` to `end`; what is unusual about its disk is left as it is."""

    _begun: ClassVar[tuple[Self, ...]] = ()  # replaced as a whole, since another thread may read it

    def __init__(self, database: Path) -> None:
        self._database = database
        self._engines: set[Engine] = set()  # which hold connections to it

    def begin(self) -> None:
        """Write ahead from now on."""
        watch_connections()
        is_local = find_file_system(self._database) in LOCAL_FILE_SYSTEMS
        if is_local and _set_journal(self._database, "wal"):
            WriteAhead._begun = (*WriteAhead._begun, self)

    def end(self) -> None:
        """Put all into the database file again, and leave nothing beside it; not while others have it open."""
        WriteAhead._begun = tuple(one for one in WriteAhead._begun if one is not self)
        for engine in self._engines:
            engine.dispose()
        _set_journal(self._database, "delete")

    @staticmethod
    def on_connect(connection: "Connection") -> None:
        """Tell a connection of SQLAlchemy to a database that is written ahead, once, that it need not wait."""
        for one in WriteAhead._begun:
            one._tell(connection)

    def _tell(self, connection: "Connection") -> None:
        driver = connection.connection.driver_connection
        if self in connection.info or not isinstance(driver, sqlite3.Connection):
            return
        connection.info[self] = True
        if Path(driver.execute("PRAGMA database_list").fetchone()[2]).resolve() == self._database.resolve():
            driver.execute("PRAGMA synchronous = NORMAL")
            self._engines.add(connection.engine)


def watch_connections() -> None:
    """Learn of every connection that is made in this process from now on.

    Call it before a thread uses MLflow: where SQLAlchemy's listeners change while another thread connects, as that of
    a search does to Optuna's history, the latter fails.
    """
    from sqlalchemy import Engine, event

    if not event.contains(Engine, "engine_connect", WriteAhead.on_connect):
        event.listen(Engine, "engine_connect", WriteAhead.on_connect)


def find_file_system(path: Path) -> str:
    """The kind of file system that a file or folder is on; empty if that cannot be said."""
    folders = {path.resolve(), *path.resolve().parents}
    mounted = [part for part in psutil.disk_partitions(all=True) if Path(part.mountpoint) in folders]
    # Of two in one place, the later hides the earlier.
    return max(reversed(mounted), key=lambda part: len(part.mountpoint)).fstype if mounted else ""


def _set_journal(database: Path, mode: str) -> bool:
    """Set how SQLite writes a database; returns whether it does, which others that use it can prevent."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite.connect(database, read_only=False, timeout=1)) as connection,
    ):
        return bool(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode,))
    return False
