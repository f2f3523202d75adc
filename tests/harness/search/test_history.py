"""The history of a sampler: busy, old, new, damaged and gone are five different things; looking writes nothing."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import load_dataset
from harness.errors import InputError
from harness.search.make_source import make_source
from harness.search.optuna_source import OptunaSource
from harness.search.source import Source
from harness.storage import sqlite
from tests.harness.search.searching import STUDIES, Searching


@pytest.fixture
def searching(tmp_path: Path) -> Searching:
    """A search of which two trials have ended."""
    made = Searching(tmp_path, load_dataset("digits"), STUDIES["tpe"])
    made.run(at_most=2)
    return made


@pytest.fixture
def database(searching: Searching) -> Path:
    return searching.folder / "optuna.db"


def hold(path: Path, seconds: float) -> threading.Timer:
    """Lock a database, as a dashboard or a backup does, and let go of it later."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(seconds, connection.close)
    timer.start()
    return timer


def test_a_busy_history_is_waited_for_and_it_is_said(
    searching: Searching, database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "NOTICE_SECONDS", 0.05)
    for look in (searching.source, lambda: searching.source(read_only=True)):
        caplog.clear()
        timer = hold(database, 0.6)
        source = look()
        timer.join()
        assert len(source.trials) == 2
        assert f"{database} is in use by another program; waiting for it" in caplog.text
    source = searching.source()
    timer = hold(database, 0.6)
    trial = source.next()
    timer.join()
    assert trial is not None
    timer = hold(database, 0.6)
    source.tell(trial, searching.end(trial))
    timer.join()
    assert len(searching.source(read_only=True).trials) == 3


def test_a_history_that_stays_busy_is_not_said_to_be_broken(
    searching: Searching, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    timer = hold(database, 1.0)
    with pytest.raises(InputError, match=r"optuna\.db: another program has held it for .*; close that one"):
        searching.source()
    timer.join()


def test_what_is_not_busy_is_not_said_to_be(
    searching: Searching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "NOTICE_SECONDS", 0.0)
    searching.run()
    assert caplog.text == ""


@pytest.mark.parametrize("text", [b"no database" * 100, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_history_is_moved_aside_and_a_look_at_it_moves_nothing(
    searching: Searching, database: Path, text: bytes
) -> None:
    database.write_bytes(text)
    with pytest.raises(InputError, match=r"optuna\.db: is damaged .*`spikeslab collect demo` restores it"):
        searching.source(read_only=True)
    assert database.read_bytes() == text
    with pytest.raises(InputError, match=r"and is kept as optuna\.db\.damaged-"):
        searching.source()
    (kept,) = searching.folder.glob("optuna.db.damaged-*")
    assert kept.read_bytes() == text
    assert len(searching.run()) == 4, "what was trained is taken over by the new search"


@pytest.mark.parametrize(("version", "fix"), [("v2.6.0.a", "optuna storage upgrade"), ("v99", "pip install --upgrade")])
def test_a_history_of_another_optuna_is_answered_with_the_command_that_mends_it(
    searching: Searching, database: Path, version: str, fix: str
) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    for read_only in (True, False):
        with pytest.raises(InputError, match=fix):
            searching.source(read_only=read_only)


def test_a_history_that_is_deleted_under_a_run_is_said_to_be(searching: Searching, database: Path) -> None:
    source = searching.source()
    database.unlink()
    with pytest.raises(InputError, match=r"optuna\.db: was deleted; `spikeslab collect demo` restores it"):
        source.next()
    assert not database.exists()


def test_an_empty_file_is_a_search_that_has_not_begun(searching: Searching, database: Path) -> None:
    database.write_bytes(b"")
    assert searching.source(read_only=True).trials == []
    assert len(searching.source().trials) == 0


def test_a_look_at_a_search_writes_nothing(searching: Searching, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [searching.folder, *(p for p in searching.folder.rglob("*") if p.is_dir())]
    opened: list[str] = []
    connect = sqlite3.connect

    def note(address: str, **options: Any) -> sqlite3.Connection:
        opened.append(address)
        return connect(address, **options)

    monkeypatch.setattr(sqlite3, "connect", note)
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in folders}
    try:
        for folder in folders:
            folder.chmod(0o555)
        source: Source = make_source(searching.study, searching.dataset, searching.folder, read_only=True)
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
    assert isinstance(source, OptunaSource)
    assert len(source.trials) == 2
    assert opened
    assert all("mode=ro" in uri for uri in opened)
