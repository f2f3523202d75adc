"""Servers of pages that run beside us, on 127.0.0.1, until Ctrl-C."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread

import typer

from harness.errors import InputError
from harness.interruption import Interrupted

READY_SECONDS = 120.0  # after which an address is told though nobody answers there
WAIT_SECONDS = 0.2


def check_port(port: int) -> None:
    """Check that a port of 127.0.0.1 is free.

    Raises:
        InputError: it is not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"--port {port}: {reason}; choose another port, such as --port {port % 64511 + 1025}"
            ) from None


def serve(
    command: Sequence[str], environment: Mapping[str, str], port: int, *, what: str, tell: Callable[[], None]
) -> None:
    """Run a server until it ends or a signal ends us; it then ends with all processes that it started.

    tell: says where the pages are; called once somebody answers there.

    Raises:
        InputError: the server failed.
    """
    with (
        tempfile.TemporaryFile("w+", errors="replace") as words,  # shown if it fails: all else is noise
        subprocess.Popen(command, env=dict(environment), stdout=words, stderr=words) as server,  # noqa: S603 (no shell)
    ):
        ended = Event()
        waiting = Thread(target=_tell_when_ready, args=(port, ended, tell), name="ready", daemon=True)
        waiting.start()
        try:
            status = server.wait()
        except Interrupted as signalled:
            _end(server.pid)
            if signalled.signum == signal.SIGINT:  # the way to end it
                raise typer.Exit from None
            raise
        finally:
            ended.set()
        words.seek(0)
        said = words.read()
    if status:
        typer.echo(said, err=True)
        raise InputError(f"{what} ended with exit status {status}; its own words stand above")


def _tell_when_ready(port: int, ended: Event, tell: Callable[[], None]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not ended.wait(WAIT_SECONDS):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    if not ended.is_set():
        tell()


def _end(pid: int) -> None:
    """End a server with the processes that it started."""
    import psutil

    server = psutil.Process(pid)
    for process in [*server.children(recursive=True), server]:
        with suppress(psutil.NoSuchProcess):  # the terminal's Ctrl-C has ended it
            process.terminate()
