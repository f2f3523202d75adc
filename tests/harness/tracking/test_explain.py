"""What is wrong with an MLflow store: whether it passes, and what mends it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.tracking.explain import explain
from harness.tracking.mlflow_settings import check_store
from harness.tracking.mlflow_store import MlflowStore

URI = "postgresql://alice:s3cret@host/db"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(sqlite3.DatabaseError) file is not a database", "its database is damaged; move postgresql://***@host/db as"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "cannot be written to; see that you may"),
        ("(sqlite3.OperationalError) database or disk is full", "the disk is full; free some space"),
        ("No module named 'psycopg'", "needs its database's driver; install it, for PostgreSQL with `pip install"),
        (
            "API request to endpoint failed with error code 401 != 200",
            "***@host/db refuses the user; set MLFLOW_TRACKI",
        ),
        ("Model registry functionality is unavailable; got unsupported URI 'x'", "is no address of a store; correct"),
        ("(sqlite3.OperationalError) database is locked", "another program holds its database"),
        (
            "API request to http://h/api failed with exception HTTPConnectionPool(host='h'): Max retries exceeded "
            "with url: /api (Caused by NewConnectionError('[Errno 111] Connection refused'))",
            "nothing answers at postgresql://***@host/db",
        ),
        (
            'connection to server at "h", port 5432 failed: Connection refused',
            "nothing answers at postgresql://***@host",
        ),
        (
            "HTTPConnectionPool(host='h', port=9): Read timed out. (read timeout=10)",
            "***@host/db does not answer in time",
        ),
        (
            "Max retries (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')))",
            "has a certificate that this machine does not trust; name the file",
        ),
        ("what nobody knows of http://u:s3cret@h/", "what nobody knows of http://***@h/"),
    ],
)
def test_passing_and_lasting_failures_are_told_apart(text: str, said: str) -> None:
    failure = explain(Exception(text), URI)
    assert said in str(failure)
    assert "s3cret" not in str(failure)
    assert (failure.fix is None) == (";" not in said)


def age(path: Path, version: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_a_database_of_another_mlflow_is_answered_with_the_command_that_mends_it(tmp_path: Path) -> None:
    MlflowStore("small", tmp_path)
    for version, fix in {
        "bd07f7e963c5": f"of an older MLflow; copy it, and run `mlflow db upgrade sqlite:///{tmp_path}/bd07f7e963c5.db`",
        "ffffffffffff": "of a newer MLflow; update this one with `pip install --upgrade mlflow`",
    }.items():
        other = tmp_path / f"{version}.db"  # MLflow looks at a database once
        shutil.copy(tmp_path / "mlflow.db", other)
        age(other, version)
        with pytest.raises(InputError) as caught:
            check_store(f"sqlite:///{other}")
        assert str(caught.value).endswith(fix)


def test_a_damaged_database_is_kept_beside_a_new_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    MlflowStore("small", tmp_path)
    (kept,) = tmp_path.glob("mlflow.db.damaged-*")
    assert kept.read_text().startswith("no database")
    assert f"was damaged and is kept as {kept.name}" in caplog.text
    check_store(MlflowStore("small", tmp_path, create=False).uri)


def test_an_experiment_that_was_deleted_is_restored(tmp_path: Path) -> None:
    store = MlflowStore("small", tmp_path)
    store.client.delete_experiment(store.experiment_id)
    again = MlflowStore("small", tmp_path)
    assert again.client.get_experiment(again.experiment_id).lifecycle_stage == "active"
