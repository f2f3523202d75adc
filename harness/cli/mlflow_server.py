"""`spikeslab ui --server`: an MLflow server to which a team's studies log, on 127.0.0.1."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.cli.options import console
from harness.cli.serving import check_port, serve
from harness.errors import hide_secrets

STORE, ARTIFACTS = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"


def serve_team(results: Path, port: int, hosts: Sequence[str]) -> None:
    """Serve until Ctrl-C. hosts: names by which a proxy passes requests on, besides those of this machine.

    What the store and the artifacts' place are, and their passwords, stand in variables: everyone on a machine may read
    the words of a command.

    Raises:
        InputError: the port is taken, the store cannot be used, or the server failed.
    """
    from harness.storage.local import database_uri
    from harness.tracking.local_store import make_database
    from harness.tracking.mlflow_settings import check_store

    check_port(port)
    given = dict(os.environ)
    if STORE not in given:
        results.mkdir(parents=True, exist_ok=True)
        make_database(results / "mlflow.db")
        given[STORE] = database_uri(results / "mlflow.db")
    check_store(given[STORE])  # which takes variables away
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "2", "--serve-artifacts", "--uvicorn-opts", "--no-access-log --log-level warning"]

    def tell() -> None:
        console.print(
            f"MLflow server: {address}, reached from this machine alone (Ctrl-C ends it). Studies log to it with "
            f"MLFLOW_TRACKING_URI={address}, elsewhere through `ssh -N -L {port}:127.0.0.1:{port} HERE`.",
            soft_wrap=True,
        )

    environment = make_environment(given, results, port, hosts)
    serve(command, environment, port, what=f"{hide_secrets(given[STORE])}: the MLflow server", tell=tell)


def make_environment(given: Mapping[str, str], results: Path, port: int, hosts: Sequence[str]) -> dict[str, str]:
    """The environment of the server; what it does not name has the defaults of one that strangers may try to reach."""
    names = ["localhost", "127.0.0.1", *hosts]
    defaults = {
        ARTIFACTS: str(results.absolute() / "mlartifacts"),
        # A page of another site, open in a browser here, must not reach it by a name that it points to this machine.
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*hosts, *(f"{name}:{port}" for name in names)]),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONSAFEPATH": "1",
    }
    return defaults | {name: value for name, value in given.items() if name != "MLFLOW_TRACKING_URI"}
