"""`spikeslab ui`: the pages of MLflow on 127.0.0.1, and with `--server` a server to which a team's studies log."""

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from harness.cli.options import console
from harness.cli.serving import check_port, serve
from harness.errors import InputError, hide_secrets
from harness.storage.place import Place

STORE, ARTIFACTS = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"
ARTIFACTS_FOLDER = "mlartifacts"  # in the results folder
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
"""Names of the server: a page of another site, open in a browser here, must not reach it by one that it points here."""

OPEN = "Every user of this machine can read and change all that it serves."
MOST_PAGES = 5  # that are listed
ALONE = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONSAFEPATH": "1",  # nothing of the current folder in the processes that it starts, either
}


def serve_pages(results: Place, port: int) -> None:
    """Serve the pages of these results until Ctrl-C, and say where those of each study are.

    Raises:
        InputError: there are no runs, the port is taken, the store cannot be used, or the server failed.
    """
    from harness.ledger.names import MLFLOW_DATABASE
    from harness.tracking.local_store import fetch_runs, relocate_artifacts
    from harness.tracking.mlflow_settings import check_store, is_own_store, tracking_uri
    from harness.tracking.presentation import list_pages

    fetch_runs(results)
    folder = results.folder
    uri = tracking_uri(folder)
    if uri.startswith("http"):
        console.print(f"Runs are logged to an MLflow server: open {hide_secrets(uri)} in a browser.", soft_wrap=True)
        return
    if is_own_store():
        if not (folder / MLFLOW_DATABASE).exists():
            fix = "give --results the address of one study" if results.is_remote else "or give --results"
            where = results.name(folder / MLFLOW_DATABASE)
            raise InputError(f"{where}: no such database; run a study first, {fix}")
        with suppress(sqlite3.Error):  # another's folder, that may be read alone
            relocate_artifacts(folder)
    check_port(port)
    check_store(uri)

    def tell() -> None:
        address = f"http://127.0.0.1:{port}"
        pages = list_pages(uri, address)
        if not pages:
            console.print(f"MLflow UI: {address} (Ctrl-C ends it)")
        for name, page in pages[:MOST_PAGES]:
            console.print(f"{name}: {page}", soft_wrap=True)
        if pages:
            more = f"{len(pages) - MOST_PAGES} more studies at {address}; " if len(pages) > MOST_PAGES else ""
            console.print(f"The trials of each study in MLflow; {more}Ctrl-C ends it.", soft_wrap=True)
        console.print(OPEN, soft_wrap=True)

    # The tunnel that the pages are reached through may have another port.
    environment = make_environment({**os.environ, STORE: uri}, folder, "*", ["localhost", "127.0.0.1"]) | ALONE
    serve(_make_command(port, 1), environment, port, what=f"{uri}: the MLflow UI", tell=tell)


def serve_team(results: Path, port: int, hosts: Sequence[str]) -> None:
    """Serve until Ctrl-C. hosts: names by which a proxy passes requests on, besides those of this machine.

    Raises:
        InputError: the port is taken, the store cannot be used, or the server failed.
    """
    from harness.ledger.names import MLFLOW_DATABASE
    from harness.storage.local import database_uri
    from harness.tracking.local_store import make_database
    from harness.tracking.mlflow_settings import check_store

    check_port(port)
    given = dict(os.environ)
    if STORE not in given:
        results.mkdir(parents=True, exist_ok=True)
        make_database(results / MLFLOW_DATABASE)
        given[STORE] = database_uri(results / MLFLOW_DATABASE)
    check_store(given[STORE])  # which takes variables away
    address = f"http://127.0.0.1:{port}"

    def tell() -> None:
        console.print(
            f"MLflow server: {address}, reached from this machine alone (Ctrl-C ends it). Studies log to it with "
            f"MLFLOW_TRACKING_URI={address}, elsewhere through `ssh -N -L {port}:127.0.0.1:{port} HERE`. {OPEN}",
            soft_wrap=True,
        )

    environment = make_environment(given, results, port, hosts)
    serve(_make_command(port, 2), environment, port, what=f"{hide_secrets(given[STORE])}: the MLflow server", tell=tell)


def make_environment(
    given: Mapping[str, str], results: Path, port: int | Literal["*"], hosts: Sequence[str]
) -> dict[str, str]:
    """The environment of the server; what it does not name has the defaults of one that strangers may try to reach."""
    names = ["localhost", "127.0.0.1", *hosts]
    defaults = {
        ARTIFACTS: str(results.absolute() / ARTIFACTS_FOLDER),
        HOSTS: ",".join([*hosts, *(f"{name}:{port}" for name in names)]),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **ALONE,
    }
    return defaults | {name: value for name, value in given.items() if name != "MLFLOW_TRACKING_URI"}


def _make_command(port: int, num_workers: int) -> list[str]:
    """The command of a server; its store and the place of artifacts, with their passwords, stand in variables.

    Everyone on a machine may read the words of a command.
    """
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(num_workers), "--serve-artifacts"]
    return [*command, "--uvicorn-opts", "--no-access-log --log-level warning"]
