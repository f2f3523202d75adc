"""What MLflow is told before it is used: where its store is, and to stay quiet."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError
from harness.ledger.names import MLFLOW_DATABASE, MLFLOW_LOCK
from harness.proxies import spare_this_machine
from harness.storage.local import database_uri
from harness.tracking.explain import explain

SERVER_VARIABLES = ("MLFLOW_TRACKING_", "MLFLOW_HTTP_", "MLFLOW_S3_", "MLFLOW_GCS_", "MLFLOW_DISABLE_TELEMETRY")
LOG_LEVELS = {
    "alembic": logging.ERROR,
    "mlflow": logging.ERROR,
    "mlflow.store.db.utils": logging.CRITICAL,  # tracebacks of what it then raises
    "urllib3": logging.ERROR,
}


def is_own_store() -> bool:
    """Whether the MLflow store is our own, in the results folder: MLFLOW_TRACKING_URI names no other.

    `mlflow.set_tracking_uri`, by which somebody opens what a results folder holds, sets that variable, too: our own
    database of any results folder is no store that several share.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return not uri or _is_of_results(uri)


def _is_of_results(uri: str) -> bool:
    """Whether a store is a database that we have made in a results folder, where its lock stays."""
    if not uri.startswith("sqlite"):
        return False
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        path = Path(make_url(uri).database or "")
    except ArgumentError:
        return False
    return path.name == MLFLOW_DATABASE and (path.parent / MLFLOW_LOCK).exists()


def tracking_uri(results: Path) -> str:
    """The address of the MLflow store: MLFLOW_TRACKING_URI, or the database in the results folder."""
    return database_uri(results / MLFLOW_DATABASE) if is_own_store() else os.environ["MLFLOW_TRACKING_URI"]


def check_store(uri: str) -> None:
    """Check that a store can be used.

    Raises:
        InputError: it cannot; what is wrong and what helps.
    """
    quieten_mlflow()
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    except Exception as error:
        raise InputError(f"{uri}: MLflow cannot be used: {explain(error, uri)}") from error


@contextmanager
def keeping_settings() -> Iterator[None]:
    """Leave MLflow's variables and levels of loggers as they were: a notebook may use MLflow for itself, too."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    levels = {name: logging.getLogger(name).level for name in LOG_LEVELS}
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in variables]:
            del os.environ[name]
        os.environ.update(variables)
        _set_log_levels(levels)


def quieten_mlflow() -> None:
    """Turn off MLflow's telemetry, log output and long retries; call this before MLflow is imported.

    Of the environment it obeys what says how to reach a server: the rest is meant for other programs, and would log
    later, elsewhere or to another run.
    """
    spare_this_machine()
    for name in list(os.environ):
        if name.startswith("MLFLOW_") and not name.startswith(SERVER_VARIABLES):
            del os.environ[name]
    defaults = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",  # a logger's own level is lost when MLflow is imported
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",  # a model would take along the uv.lock of the current folder
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    _set_log_levels(LOG_LEVELS)


def _set_log_levels(levels: Mapping[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
