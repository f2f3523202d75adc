"""The history of an Optuna sampler, opened in one place: what is wrong with the file is said as it is."""

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from harness.errors import InputError, first_line
from harness.storage import sqlite

if TYPE_CHECKING:
    import optuna


def open_history(
    path: Path,
    name: str,
    directions: Sequence[str],
    *,
    former_names: Sequence[str] = (),
    is_ours: "Callable[[optuna.Study], bool]" = lambda _: True,
    read_only: bool,
) -> "tuple[optuna.Study | None, list[optuna.Study]]":
    """Open the history of a name, or begin it; returns it and the others that the file holds, oldest first.

    former_names: what earlier versions called the same history; where there is none of the new name, the first of these
    is opened that `is_ours`.
    read_only: the history is None if there is none, and nothing is written.
    """
    import optuna
    from sqlalchemy.pool import NullPool

    if read_only and not _has_tables(path):
        return None, []
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    storage = optuna.storages.RDBStorage(
        "sqlite://",  # the path is no part of an address, in which some characters would mean something else
        engine_kwargs={"creator": partial(sqlite.connect, path, read_only=read_only), "poolclass": NullPool},
        skip_table_creation=read_only,
    )
    names = optuna.get_all_study_names(storage)
    known = {stored: optuna.load_study(study_name=stored, storage=storage) for stored in names}
    if name not in known:
        name = next((former for former in former_names if former in known and is_ours(known[former])), name)
    others = [history for stored, history in known.items() if stored != name]
    if read_only:
        return known.get(name), others
    history = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
    return history, others


def name_metrics(history: "optuna.Study", names: Sequence[str]) -> None:
    """Let Optuna's dashboard call the values of trials by their names."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        history.set_metric_names(list(names))


def _has_tables(path: Path) -> bool:
    """Whether the history has begun: a process that was killed may have left an empty file."""
    if not path.exists():
        return False
    with closing(sqlite.connect(path, read_only=True)) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'version_info'").fetchall())


@contextmanager
def history_errors(path: Path, study: str, *, read_only: bool) -> Iterator[None]:
    """Say of a wait for the history, and turn what Optuna and SQLite raise about it into one sentence.

    A damaged history is moved aside, unless only reading was asked for: nothing could be read from it.

    Raises:
        InputError: it cannot be used; what is wrong and what helps.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError

    try:
        with sqlite.telling_of_waits(path):
            yield
    except UnpicklingError as error:
        fix = f"move it elsewhere, and `spikeslab run {study}` begins a new search"
        raise InputError(f"{path}: {first_line(error)}; {fix}") from error
    except (sqlite3.DatabaseError, DatabaseError, StorageInternalError, RuntimeError) as error:
        if (
            isinstance(error, RuntimeError)
            and not isinstance(error, StorageInternalError)
            and not _is_of_version(error)
        ):
            raise
        raise InputError(f"{path}: {_explain(error, path, study, read_only=read_only)}") from error


def _is_of_version(error: Exception) -> bool:
    return "compatible with the table schema" in str(error)


def _explain(error: Exception, path: Path, study: str, *, read_only: bool) -> str:
    restore = f"`spikeslab collect {study}` restores it from MLflow"
    cause = _find_cause(error)
    # Extended codes hold the reason in their higher bits.
    match cause.sqlite_errorcode & 0xFF if isinstance(cause, sqlite3.Error) else None:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            said = f"another program has held it for {sqlite.BUSY_SECONDS:.0f} s; close that one, and try again"
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            kept = "" if read_only else f", and is kept as {sqlite.move_aside(path).name}"
            said = f"is damaged ({cause}){kept}; {restore}, `spikeslab run {study}` begins a new search"
        case sqlite3.SQLITE_CANTOPEN if not path.exists():
            said = f"was deleted; {restore}, `spikeslab run {study}` begins a new search"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY:
            said = (
                f"cannot be {'read' if read_only else 'written to'} ({cause}); see to its permissions and its folder's"
            )
        case sqlite3.SQLITE_FULL:
            said = "the disk is full; free some space, and run the study again"
        case _ if "optuna storage upgrade" in str(error):
            upgrade = f"optuna storage upgrade --storage sqlite:///{path.absolute()}"
            said = f"it is of an older Optuna; copy it, and run `{upgrade}`"
        case _ if _is_of_version(error):
            said = "it is of a newer Optuna; update this one with `pip install --upgrade optuna`"
        case _:
            said = f"cannot be used ({first_line(cause)}); {restore}"
    return said


def _find_cause(error: Exception) -> BaseException:
    """What SQLite said, below what SQLAlchemy and Optuna made of it; else the error itself."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlite3.Error):
        cause = getattr(cause, "orig", None) or cause.__cause__
    return cause or error
