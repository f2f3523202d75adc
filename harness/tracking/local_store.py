"""MLflow's store in a results folder: the database `mlflow.db`, and the artifacts in `mlartifacts`."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from harness.ledger.names import MLFLOW_DATABASE, MLFLOW_LOCK
from harness.storage import sqlite
from harness.storage.local import database_uri, locked
from harness.storage.place import Place
from harness.tracking.mlflow_settings import is_own_store

PLACES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
ARTIFACTS = "/mlartifacts/"  # in the results folder; in it, a folder for each study


def locate_runs(place: Place, study: str) -> Path:
    """The folder of MLflow's own store: of all studies that share a folder of results, or of a study in a bucket.

    There each is written by one machine at a time.
    """
    return (place.folder / study if place.is_remote else place.folder).absolute()


def fetch_runs(place: Place) -> None:
    """Bring MLflow's own store of a study here, where it is kept in a bucket. place: of that study alone."""
    if is_own_store():
        place.fetch([item for item in place.list(place.folder, deep=False) if item.path.name == MLFLOW_DATABASE])
        place.fetch(place.list(place.folder / ARTIFACTS.strip("/")))


def make_database(path: Path) -> None:
    """Make MLflow's database atomically.

    MLflow makes it table by table: two processes that do so at once fail, and one that is killed leaves a database that
    cannot be opened.
    """
    from mlflow import MlflowClient

    with locked(path.parent / MLFLOW_LOCK):
        if sqlite.is_damaged(path):
            aside = sqlite.move_aside(path)
            sqlite.log.warning(
                "%s was damaged and is kept as %s; studies are sent to a new one as they are run or collected",
                path,
                aside.name,
            )
        if path.exists():
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as scratch:
            draft, copy = Path(scratch) / "draft.db", Path(scratch) / MLFLOW_DATABASE
            MlflowClient(tracking_uri=database_uri(draft)).search_experiments()
            copy.touch()  # with the rights that the umask leaves, which SQLite would narrow
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute("VACUUM INTO ?", (str(copy),))
            copy.replace(path)


def relocate_artifacts(results: Path) -> None:
    """Tell MLflow's database, which notes absolute places, where its artifacts are once results were moved."""
    here = locate_artifacts(results)

    def relocate(uri: str) -> str:
        before, marker, rest = uri.rpartition(ARTIFACTS)
        return here + rest if marker and before.startswith("file:") else uri

    with closing(sqlite3.connect(results / MLFLOW_DATABASE, timeout=30)) as connection, connection:
        connection.create_function("relocate", 1, relocate, deterministic=True)
        for table, column in PLACES:
            strayed = f"FROM {table} WHERE {column} != relocate({column})"
            if connection.execute(f"SELECT 1 {strayed} LIMIT 1").fetchone():  # else it need not be writable
                connection.execute(f"UPDATE {table} SET {column} = relocate({column})")  # noqa: S608


def locate_artifacts(results: Path) -> str:
    """The folder of a results folder's artifacts, as an address that ends in a slash."""
    return results.absolute().as_uri() + ARTIFACTS
