"""Who answers at the address of a cluster: its head, one that does not want us, or nobody of Ray's."""

import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import ray
from ray.core.generated.gcs_service_pb2 import CheckAliveReply
from ray.core.generated.gcs_service_pb2_grpc import (
    NodeInfoGcsServiceServicer,
    add_NodeInfoGcsServiceServicer_to_server,
)

from harness.cluster import greeting
from harness.cluster.connect import check_address
from harness.cluster.jobs import Jobs
from harness.errors import InputError
from tests.e2e.conftest import STUDY, command
from tests.harness.cluster.heads import Head


class Answering(NodeInfoGcsServiceServicer):  # type: ignore[misc]
    """A head that says which Ray it is to those who show the token that it wants, if it wants one."""

    def __init__(self, version: str, *, wants_token: bool) -> None:
        self._version, self._wants_token = version, wants_token

    def CheckAlive(self, _: object, context: Any) -> CheckAliveReply:  # noqa: N802 (as Ray has it)
        if self._wants_token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return CheckAliveReply(ray_version=self._version)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start heads that only say who they are; returns the address of each."""
    servers = []

    def start(version: str = ray.__version__, *, wants_token: bool = False) -> str:
        server = grpc.server(ThreadPoolExecutor(1))
        add_NodeInfoGcsServiceServicer_to_server(Answering(version, wants_token=wants_token), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_head_of_this_version_is_fine(serve: Callable[..., str]) -> None:
    check_address(serve())


def test_another_version_of_ray_is_one_sentence(serve: Callable[..., str]) -> None:
    address = serve("2.1.0")
    with pytest.raises(
        InputError, match=rf"--address {address}: its cluster runs Ray 2.1.0, .*`pip install ray==2.1.0`"
    ):
        check_address(address)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"RAY_AUTH_MODE": "disabled"},
            "the cluster wants a token; set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token",
        ),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32},
            "the cluster wants another token; set RAY_AUTH_MODE=",
        ),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": "/gone"}, "and /gone is no file that"),
    ],
    ids=["none", "another", "no file"],
)
def test_a_token_that_is_missing_or_wrong_is_one_sentence(
    environment: dict[str, str], said: str, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(wants_token=True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"--address {address}: .*{said}"):
        check_address(address)


def test_what_does_not_answer_is_one_sentence_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("harness.cluster.jobs.ANSWER_SECONDS", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(InputError, match=f"--address {address}: what listens there has not answered for"):
            check_address(address)
        with pytest.raises(InputError, match=f"--address http://{address}: the dashboard does not answer"):
            Jobs(f"http://{address}")
        assert time.monotonic() - began < 5


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_of_something_else_is_one_sentence() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        with pytest.raises(InputError, match=f"--address {address}: what listens there is no head of a Ray cluster"):
            check_address(address)
        with pytest.raises(InputError, match=f"--address http://{address}: what answers there is no Ray dashboard"):
            Jobs(f"http://{address}")
        server.shutdown()


def test_nobody_else_reads_the_token_of_a_user_who_joins_a_cluster(home: Path, serve: Callable[..., str]) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.touch(mode=0o644)  # as `ray get-auth-token --generate` leaves it
    check_address(serve())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.slow
def test_every_command_refuses_a_real_cluster_that_refuses_it_in_a_sentence_within_seconds(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_text("ab" * 32)
    with Head() as head:
        no_token = {name: value for name, value in head.client.items() if not name.startswith("RAY_AUTH")}
        wrong = head.client | {"RAY_AUTH_TOKEN_PATH": str(other)}
        for environment, said in ((no_token, "wants a token"), (wrong, "wants another token")):
            for words in (
                command("run", "tiny.yaml", "--address", head.address),
                command("submit", "tiny.yaml", "--results", "/tmp/none", "--address", head.dashboard),
                command("jobs", "--address", head.dashboard),
                command("logs", "tiny-1", "--address", head.dashboard),
                command("stop", "tiny-1", "--address", head.dashboard),
            ):
                began = time.monotonic()
                done = subprocess.run(
                    words,
                    cwd=tmp_path,
                    env=environment | {"HOME": str(tmp_path)},
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                print(f"{words[1]}, {said}: {time.monotonic() - began:.1f} s")
                assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
                assert said in done.stderr
                assert time.monotonic() - began < 10
