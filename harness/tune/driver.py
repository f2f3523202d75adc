"""The driver of a run, as the processes that it started know it."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil

from harness.errors import InputError
from harness.ledger.provenance import CODE_FOLDER, describe_machine, hash_code
from harness.plugins.source import Plugin
from harness.storage.bucket import find_fault

JOIN_SECONDS = 30.0
"""How long a process waits for a bucket that does not answer, before a trial goes on elsewhere. Times MAX_FORGIVEN it
is longer than PATIENCE_SECONDS, for which one that trains waits."""


class UnfitError(InputError):
    """This process cannot train the study, though another may; which costs the trial nothing."""


class LeavingError(UnfitError):
    """This process was asked to end, as where its machine is taken away: of other machines that says nothing."""


class OtherCodeError(UnfitError):
    """The code was changed under a study that runs: no process started from now on can train it."""


@dataclass(frozen=True)
class Driver:
    """The process that was started by the user, and the code that it runs."""

    code: str  # its hash
    torch: str  # its version, whatever device it is built for
    plugins: tuple[Plugin, ...]  # of the study: their source, as the driver has read it
    host: str
    pid: int
    mark: str = ""  # a file in the study's folder, which whoever trains must see

    @classmethod
    def here(cls, plugins: tuple[Plugin, ...] = (), mark: str = "") -> "Driver":
        """This process."""
        return cls(hash_code(), _find_torch(), plugins, socket.gethostname(), os.getpid(), mark)

    def join(self) -> None:
        """Work for the driver from this process, whose limit of CPU time then ends the whole run, as the user's.

        Raises:
            OtherCodeError: this process runs other code.
            UnfitError: it has another torch, or does not see the study's folder.
        """
        if hash_code() != self.code:
            raise OtherCodeError(
                f"{CODE_FOLDER} holds other code than was started, or was edited since; start it again"
            )
        if (torch := _find_torch()) != self.torch:
            raise UnfitError(f"{socket.gethostname()} has torch {torch}, and the machine that started it {self.torch}")
        if self.mark and (fault := find_fault(self.mark, JOIN_SECONDS)):
            raise UnfitError(f"{socket.gethostname()} {fault}")
        is_ours = self.host == socket.gethostname() and self.pid in [p.pid for p in psutil.Process().parents()]
        if is_ours:  # a cluster that was there before has limits of its own
            signal.signal(signal.SIGXCPU, self._pass_on)

    def _pass_on(self, signum: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)


def _find_torch() -> str:
    return describe_machine()["version.torch"].partition("+")[0]
