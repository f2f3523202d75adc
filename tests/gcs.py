"""A server like Google Cloud Storage on this machine, as far as obstore asks it (its XML interface), for tests."""

import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from harness.storage import objects

_numbers = itertools.count()


@dataclass
class Stored:
    """An object: its content, and its generation, which no two writes share."""

    content: bytes
    generation: int
    written: str = field(default_factory=lambda: formatdate(usegmt=True))

    @property
    def headers(self) -> dict[str, str]:
        tag = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return {"ETag": f'"{tag}"', "x-goog-generation": str(self.generation), "Last-Modified": self.written}


class Handler(BaseHTTPRequestHandler):
    """Answers for one bucket, whose name is that of the server."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def fail(self, status: int, code: str) -> None:
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())

    def locate(self) -> str | None:
        """The key that is asked for; None where it is of no bucket of ours, which has been answered."""
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        if bucket != self.server.bucket:
            self.fail(404, "NoSuchBucket")
            return None
        return key

    def do_GET(self) -> None:
        key = self.locate()
        if key is None:
            return
        if not key:
            self.list()
            return
        stored = self.server.stored.get(key)
        if stored is None:
            self.fail(404, "NoSuchKey")
            return
        content, status = stored.content, 200
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            total, status = len(content), 206
            content = content[int(first) : int(last) + 1]
            end = int(first) + len(content) - 1
            self.answer(status, content, **stored.headers, **{"Content-Range": f"bytes {first}-{end}/{total}"})
            return
        self.answer(status, content, **stored.headers)

    do_HEAD = do_GET  # noqa: N815 (as the library calls it)

    def list(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        folders, entries = set(), []
        for key, stored in sorted(self.server.stored.items()):
            if not key.startswith(prefix):
                continue
            head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            if found:
                folders.add(f"{prefix}{head}{delimiter}")
                continue
            tag = escape(stored.headers["ETag"])
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
                f"<Size>{len(stored.content)}</Size><ETag>{tag}</ETag></Contents>"
            )
        common = [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        self.answer(200, f"<ListBucketResult>{''.join([*entries, *common])}</ListBucketResult>".encode())

    def do_PUT(self) -> None:
        key = self.locate()
        if key is None:
            return
        with self.server.writing:
            stored = self.server.stored.get(key)
            wanted = self.headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != (stored.generation if stored else 0):
                self.fail(412, "PreconditionFailed")
                return
            new = self.server.stored[key] = Stored(self.body, next(_numbers) + 1)
        self.answer(200, **new.headers)

    def do_DELETE(self) -> None:
        key = self.locate()
        if key is None:
            return
        if self.server.stored.pop(key, None) is None:
            self.fail(404, "NoSuchKey")
        else:
            self.answer(204)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """One bucket."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bucket = f"bucket-{next(_numbers)}"
        self.stored: dict[str, Stored] = {}
        self.writing = threading.Lock()


@pytest.fixture
def gcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in its bucket, with this machine's files in the test's folder."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(objects, "PATIENCE_SECONDS", 5.0)
        yield f"gs://{server.bucket}/results"
        server.shutdown()
