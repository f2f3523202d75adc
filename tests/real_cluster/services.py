"""What a cluster uses besides Ray: a server like S3, and an MLflow server on PostgreSQL."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.cluster.heads import BIN
from tests.real_cluster.machines import Machine, Network, wait_for_line
from tests.s3 import SERVER, request

BUCKET = "results"
MLFLOW = "http://127.0.0.1:5001"
OWNER = "mlflow"  # of the database
USER = "nobody"
"""Whose processes PostgreSQL's are: it refuses to be root's."""


@dataclass(frozen=True)
class Storage:
    """A server like S3, on a machine of its own."""

    machine: Machine
    variables: dict[str, str]  # by which others use it


def start_storage(network: Network) -> Storage:
    """Start the server, with one bucket."""
    machine = network.add("storage")
    words = [sys.executable, "-c", SERVER, machine.address]
    with (machine.files / "moto.log").open("w") as log:
        process = machine.start(words, dict(os.environ), stdout=subprocess.PIPE, stderr=log, text=True)
    endpoint = "http://{}:{}".format(*wait_for_line(process.stdout, "listens on ").split())
    request(endpoint, BUCKET, "PUT")
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIA" + secrets.token_hex(8).upper(),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Storage(machine, variables)


def find_postgres() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def start_tracking(machine: Machine, storage: Storage) -> str:
    """Start an MLflow server on PostgreSQL, with its artifacts in the bucket; returns the database's password."""
    password = secrets.token_hex(16)
    _start_postgres(machine, password)
    lines = storage.variables | {
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://{OWNER}:{password}@127.0.0.1:5432/postgres",
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
        "MLFLOW_S3_ENDPOINT_URL": storage.variables["AWS_ENDPOINT_URL"],
    }
    variables = write_variables(machine, "server-variables", lines)
    words = [str(BIN / "spikeslab"), "ui", "--server", f"--port={MLFLOW.rpartition(':')[2]}", f"--env-file={variables}"]
    log = machine.files / "mlflow.log"
    with log.open("w") as file:
        server = machine.start(words, make_environment(), stdout=file, stderr=file)
    ask = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)"
    deadline = time.monotonic() + 120
    while True:
        asked = machine.start(
            [sys.executable, "-c", ask, f"{MLFLOW}/health"], make_environment(), stderr=subprocess.DEVNULL
        )
        if asked.wait() == 0:
            return password
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(1)


def make_environment() -> dict[str, str]:
    """The environment without what is set for Ray, MLflow and a bucket."""
    theirs = ("MLFLOW_", "RAY_", "AWS_", "SPIKESLAB_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def write_variables(machine: Machine, name: str, variables: Mapping[str, str]) -> Path:
    """Write a file for --env-file on a machine; returns its path there."""
    path = machine.files / name
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in variables.items()))
    return machine.disk / name


def _start_postgres(machine: Machine, password: str) -> None:
    programs = find_postgres()
    assert programs is not None
    root, seen = machine.files / "postgres", machine.disk / "postgres"
    root.mkdir()
    (root / "password").write_text(password)
    for path in (root, root / "password"):
        shutil.chown(path, USER)
        path.chmod(0o700)
    as_user = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"]
    rights = ["--auth=scram-sha-256", f"--pwfile={seen / 'password'}", f"--username={OWNER}", "--encoding=UTF8"]
    make = [str(programs / "initdb"), f"--pgdata={seen / 'data'}", *rights]
    environment = {"LANG": "C.UTF-8"}
    machine.run([*as_user, *make], environment, seen)
    (root / "password").unlink()
    serve = [str(programs / "postgres"), "-D", str(seen / "data"), "-k", str(seen), "-h", "127.0.0.1"]
    log = machine.files / "postgres.log"
    with log.open("w") as file:
        server = machine.start([*as_user, *serve], environment, seen, stdout=file, stderr=file)
    deadline = time.monotonic() + 60
    while "ready to accept connections" not in log.read_text():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)
