"""A lock in a bucket: an object that its holder renews, and that others may take once it is not renewed any more.

Conditional writes decide who has it. All ages are taken from the bucket's clock, whatever the machines' clocks say.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from harness.errors import InputError
from harness.storage.objects import Objects, PlaceError, Version

RENEW_SECONDS = 5.0
EXPIRY_SECONDS = 30.0
"""After so long without being renewed it is free: its holder was killed, or the network lost it."""

POLL_SECONDS = 1.0
LOST = "another process has taken the study over while the bucket could not be reached; see to that one"
log = logging.getLogger("spikeslab")
RELEASED = b"{}"


class Lease:
    """The right to be the only one that works on something."""

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects, self._key = objects, key
        self._version: Version | None = None
        self._name = {"host": socket.gethostname(), "pid": os.getpid(), "id": uuid.uuid4().hex}
        self._num_renewed = 0
        self.problem: str | None = None  # why it is lost

    @contextmanager
    def held(self, refusal: str) -> Iterator[None]:
        """Hold the lease meanwhile. One that is not renewed is waited for.

        Raises:
            InputError: another process renews it.
        """
        self._take(refusal)
        ending = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=(ending,), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
            if self.problem is None and self._version is not None:
                with suppress(PlaceError):  # it runs out by itself
                    self._objects.write_if(self._key, RELEASED, self._version)

    def _take(self, refusal: str) -> None:
        first: Version | None = None
        while True:
            try:
                content, version, written = self._objects.read_version(self._key)
            except FileNotFoundError:
                content, version = RELEASED, None
            if content == RELEASED or self._read_clock() - written.timestamp() > EXPIRY_SECONDS:
                self._version = version
                if self._write():
                    return
            elif first is None:
                log.warning("%s: another process had it a moment ago; seeing whether it still has", self._key)
            elif version != first:
                raise InputError(refusal)
            first = version
            time.sleep(POLL_SECONDS)

    def _read_clock(self) -> float:
        """The time by the bucket's clock, in seconds since 1970."""
        probe = f"{self._key}-{uuid.uuid4().hex}"
        self._objects.write(probe, b"")
        _, _, written = self._objects.read_version(probe)
        self._objects.delete([probe])
        return written.timestamp()

    def _describe(self) -> bytes:
        self._num_renewed += 1  # each content is another one, and so is its tag
        return json.dumps(self._name | {"renewed": self._num_renewed}).encode()

    def _write(self) -> bool:
        """Write it anew over the version that is known; returns whether it is ours."""
        version = self._objects.write_if(self._key, self._describe(), self._version)
        if version is None:
            try:
                content, version, _ = self._objects.read_version(self._key)
            except FileNotFoundError:
                return False
            if json.loads(content).get("id") != self._name["id"]:
                return False  # else it is ours by a write whose answer was lost
        self._version = version
        return True

    def _renew_until(self, ending: threading.Event) -> None:
        while not ending.wait(RENEW_SECONDS):
            try:
                if not self._write():
                    self.problem = LOST
                    return
            except PlaceError:  # away now; whoever else takes the lease meanwhile needs the bucket, too
                continue


def is_fresh(objects: Objects, key: str) -> bool:
    """Whether somebody holds a lease now, as far as the clock of this machine can tell."""
    try:
        content, _, written = objects.read_version(key)
    except FileNotFoundError:
        return False
    return content != RELEASED and (datetime.now(UTC) - written).total_seconds() < EXPIRY_SECONDS
