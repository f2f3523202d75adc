"""The database that is written ahead while a study runs, and is one whole file before and after."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.ledger.trial_folder import TrialFolder
from harness.tracking import write_ahead
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.write_ahead import WriteAhead, find_file_system, watch_connections
from tests.harness.tracking.test_mlflow_store import STOPPED, TRIAL

WHOLE = {".mlflow.lock", "mlflow.db"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def make_database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE numbers (number)")
    return path


def test_what_a_killed_process_has_sent_is_there_and_what_has_ended_is_one_file(tmp_path: Path) -> None:
    store = MlflowStore("small", tmp_path / "a")
    assert names(tmp_path / "a") == WHOLE
    store.open({})
    (engine,) = store._write_ahead._engines if store._write_ahead else ()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # does not wait for each change
    store.sync(TRIAL, STOPPED, TrialFolder(tmp_path / "a" / "small", TRIAL), {})
    assert names(tmp_path / "a") == WHOLE | {"mlflow.db-wal", "mlflow.db-shm"}
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # as it is left by a process that is killed now

    store.close("FINISHED")
    assert names(tmp_path / "a") == WHOLE
    found = MlflowStore("small", tmp_path / "b", create=False)
    found.open()
    assert found.run_ids == store.run_ids
    assert list(found.run_ids) == [TRIAL.trial_id]


def test_a_disk_that_other_machines_may_use_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = make_database(tmp_path / "a.db")
    monkeypatch.setattr(write_ahead, "find_file_system", lambda _: "nfs4")
    ahead = WriteAhead(database)
    ahead.begin()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    ahead.end()


def test_other_databases_of_the_process_wait_for_the_disk_as_before(tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    ahead = WriteAhead(make_database(tmp_path / "ours.db"))
    ahead.begin()
    waits = {}
    for name in ("ours", "other"):
        engine = create_engine(f"sqlite:///{tmp_path / name}.db")
        with engine.connect() as connection:
            waits[name] = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        engine.dispose()
    ahead.end()
    assert waits == {"ours": 1, "other": 2}


def test_a_connection_that_is_being_made_meanwhile_is_not_disturbed(tmp_path: Path) -> None:
    """Another thread connects to Optuna's history as MLflow's begins to write ahead."""
    from sqlalchemy import Engine, create_engine, event

    ahead = WriteAhead(make_database(tmp_path / "ours.db"))

    def begin_and_end(_: object) -> None:
        ahead.begin()
        ahead.end()

    watch_connections()  # as the tracker does before its thread starts
    event.listen(Engine, "engine_connect", begin_and_end)
    engine = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        engine.connect().close()
    finally:
        event.remove(Engine, "engine_connect", begin_and_end)
        engine.dispose()


def test_a_folder_is_on_the_file_system_that_is_mounted_nearest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Part:
        def __init__(self, mountpoint: Path, fstype: str) -> None:
            self.mountpoint, self.fstype = str(mountpoint), fstype

    root = [Part(Path("/"), "ext4"), Part(Path("/"), "overlay")]  # the later hides the earlier
    parts = [*root, Part(tmp_path / "shared", "nfs4"), Part(tmp_path / "share", "xfs")]
    monkeypatch.setattr(write_ahead.psutil, "disk_partitions", lambda **_: parts)
    assert find_file_system(tmp_path / "shared" / "mlflow.db") == "nfs4"
    assert find_file_system(tmp_path / "mlflow.db") == "overlay"
