"""The ways in which a process is asked to end: Ctrl-C, a batch system's TERM, a terminal that closes. All end alike."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""Batch systems warn of the end of a job's time by USR1 or USR2, and of CPU time by XCPU."""

ECHO_SECONDS = 2.0
"""One wish to end may come as two signals: `timeout` sends TERM to the command and to its group, a terminal HUP."""


class Interrupted(SystemExit):
    """A signal asked the process to end; its exit status is 128 and the signal, as shells say it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


def raise_interrupted(signum: int) -> None:
    """Leave whatever is being done."""
    raise Interrupted(signum)


@contextmanager
def on_endings(handle: Callable[[int], None]) -> Iterator[None]:
    """Call `handle` with the first signal that asks to end; a second one, later, raises Interrupted.

    A second XCPU does not: the kernel repeats it for each second of CPU time, and every process of a job gets its own.
    A signal that was ignored before, as HUP is under nohup, stays ignored.
    """
    asked_at: float | None = None

    def note(signum: int, _: FrameType | None) -> None:
        nonlocal asked_at
        if asked_at is None:
            asked_at = time.monotonic()
            handle(signum)
        elif signum != signal.SIGXCPU and time.monotonic() - asked_at > ECHO_SECONDS:
            raise Interrupted(signum)

    with keeping_handlers():
        if threading.current_thread() is threading.main_thread():
            for ending in ENDINGS:
                if signal.getsignal(ending) is not signal.SIG_IGN:
                    signal.signal(ending, note)
        yield


@contextmanager
def keeping_handlers() -> Iterator[None]:
    """Give signals back the handlers that they had, whatever a library installs meanwhile."""
    before = {ending: signal.getsignal(ending) for ending in ENDINGS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for ending, handler in before.items():
                signal.signal(ending, handler)
