"""The driver of a run, as the processes that it started know it."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil

from harness.errors import InputError
from harness.ledger.provenance import CODE_FOLDER, hash_code
from harness.plugins.source import Plugin


@dataclass(frozen=True)
class Driver:
    """The process that was started by the user, and the code that it runs."""

    code: str  # its hash
    plugins: tuple[Plugin, ...]  # of the study: their source, as the driver has read it
    host: str
    pid: int

    @classmethod
    def here(cls, plugins: tuple[Plugin, ...] = ()) -> "Driver":
        """This process."""
        return cls(hash_code(), plugins, socket.gethostname(), os.getpid())

    def join(self) -> None:
        """Work for the driver from this process, whose limit of CPU time then ends the whole run, as the user's.

        Raises:
            InputError: this process runs other code.
        """
        if hash_code() != self.code:
            raise InputError(f"{CODE_FOLDER} holds other code than was started, or was edited since; start it again")
        is_ours = self.host == socket.gethostname() and self.pid in [p.pid for p in psutil.Process().parents()]
        if is_ours:  # a cluster that was there before has limits of its own
            signal.signal(signal.SIGXCPU, self._pass_on)

    def _pass_on(self, signum: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)
