"""A server like S3 on this machine, moto's, for the tests of a process: started once."""

import itertools
import logging
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.storage import objects
from harness.storage.bucket import Bucket
from harness.storage.place import Place

_numbers = itertools.count()

SERVER = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address=sys.argv[1], port=0, verbose=False)
server.start()
print("listens on", *server.get_host_and_port(), flush=True)
time.sleep(100_000)
"""
"""Of a process of its own, which can be frozen: its argument is the address to listen on."""


@dataclass(frozen=True)
class Machine(Bucket):
    """A bucket as another machine of the test sees it."""

    root: Path = Path()

    @property
    def folder(self) -> Path:
        return self.root


def share(place: Place, name: str, content: bytes = b"content") -> Path:
    """Write a file, and put it into the place."""
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    place.share(path)
    return path


def request(endpoint: str, path: str, method: str, data: bytes | None = None) -> None:
    headers = {"Content-Type": "text/plain"}
    wanted = urllib.request.Request(f"{endpoint}/{path}", method=method, data=data, headers=headers)
    urllib.request.urlopen(wanted).close()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of the server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def address(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in a bucket of the test's own, with this machine's files in the test's folder."""
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIANAME",
        "AWS_SECRET_ACCESS_KEY": "a-secret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 5.0)
    bucket = f"bucket-{next(_numbers)}"
    request(s3_endpoint, bucket, "PUT")
    return f"s3://{bucket}/results"
