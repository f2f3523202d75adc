"""`spikeslab dashboard`: what it refuses; that it serves is tried with the searches."""

from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from harness.cli.dashboard_server import refuse_other_hosts
from tests.e2e.conftest import Spikeslab


def test_a_study_without_a_history_has_no_dashboard(spikeslab: Spikeslab, folder: Path) -> None:
    done = spikeslab("dashboard", "tiny.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "optuna.db: no such file; tiny has no sampler that learns, or has not been run" in done.stderr


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", "200 OK"),
        ("localhost:7000", "200 OK"),  # through a tunnel
        ("rebound.evil.example:8080", "403 Forbidden"),
        ("localhost.evil.example", "403 Forbidden"),
        ("127.0.0.1:8080\n", "403 Forbidden"),
        ("", "403 Forbidden"),
    ],
)
def test_a_name_that_another_site_points_to_this_machine_reaches_nothing(host: str, status: str) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"study"]

    said: list[str] = []
    (body,) = refuse_other_hosts(app)({"HTTP_HOST": host}, lambda status, *_: said.append(status))  # type: ignore[arg-type, return-value]
    assert said == [status]
    assert (body == b"study") == (status == "200 OK")
