"""`spikeslab ui --server`: an MLflow server for a team, which shows no secret and answers to no stranger."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import psutil
import pytest

from harness.cli import mlflow_server
from harness.cli.mlflow_server import make_environment
from harness.storage.place import Folder
from tests.e2e.conftest import command
from tests.harness.cluster.heads import free_port


def test_a_server_answers_to_this_machine_and_named_proxies_and_keeps_what_was_chosen() -> None:
    given = {"MLFLOW_TRACKING_URI": "http://elsewhere", "MLFLOW_ARTIFACTS_DESTINATION": "s3://bucket/mlflow"}
    environment = make_environment(given, Path("/results"), 5001, ["mlflow.example.com"])
    assert environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",") == [
        "mlflow.example.com",
        "localhost:5001",
        "127.0.0.1:5001",
        "mlflow.example.com:5001",
    ]
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://bucket/mlflow"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_TRACKING_URI" not in environment
    assert make_environment({}, Path("/results"), 5001, [])["MLFLOW_ARTIFACTS_DESTINATION"] == "/results/mlartifacts"


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:7000", True),  # through a tunnel
        ("localhost", True),
        ("10.evil.example", False),  # by MLflow's defaults it would be
        ("localhost.evil.example:5000", False),
    ],
)
def test_the_pages_of_results_answer_to_names_of_this_machine_alone(host: str, *, is_answered: bool) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    environment = make_environment({}, Path("/results"), "*", ["localhost", "127.0.0.1"])
    assert is_allowed_host_header(environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","), host) == is_answered
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "/results/mlartifacts", "not in the current folder"


@pytest.mark.parametrize("kind", ["pages", "team"])
def test_it_is_told_that_every_user_of_the_machine_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "mlflow.db").touch()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("harness.tracking.mlflow_settings.check_store", lambda _: None)
    monkeypatch.setattr("harness.tracking.local_store.make_database", lambda _: None)
    monkeypatch.setattr("harness.tracking.presentation.list_pages", lambda *_: [])
    monkeypatch.setattr(mlflow_server, "serve", lambda *_, tell, **__: tell())
    if kind == "pages":
        mlflow_server.serve_pages(Folder(tmp_path), free_port())
    else:
        mlflow_server.serve_team(tmp_path, free_port(), ())
    assert "Every user of this machine can read and change all that it serves." in capsys.readouterr().out


def ask(address: str, host: str) -> int:
    """The status of a request that names another host."""
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_a_team_logs_to_a_server_that_shows_no_secret(
    folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, variables = free_port(), folder / "variables"
    variables.touch(mode=0o600)
    variables.write_text(f"MLFLOW_BACKEND_STORE_URI=sqlite:///{folder}/pa55word.db\n")
    words = command("ui", "--server", "--port", str(port), "--env-file", "variables")
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        deadline = time.monotonic() + 60
        while True:
            try:
                assert ask(address, f"localhost:{port}") == 200
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        servers = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        shown = json.dumps([server.cmdline() for server in servers]) + told
        listening = {c.laddr.ip for s in servers for c in s.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert ask(address, "evil.example.com") == 403
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        client = mlflow.MlflowClient(address)
        run = client.create_run(client.create_experiment("ours"))
        client.log_text(run.info.run_id, "kept", "note.txt")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert f"MLFLOW_TRACKING_URI={address}" in told
    assert "pa55word" not in shown
    assert listening == {"127.0.0.1"}
    assert [path.read_text() for path in (folder / "results/mlartifacts").rglob("note.txt")] == ["kept"]
