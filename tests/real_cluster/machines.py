"""Machines of a network of their own: Linux namespaces with a host name, an address and a disk each. Needs root."""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import psutil

from tests.harness.cluster.heads import BIN

NAMESPACES = ("--mount", "--uts", "--net")


def why_not() -> str | None:
    """Why no machines can be made here; None where they can."""
    if os.geteuid() != 0:
        return "it needs root, to make network namespaces"
    missing = [name for name in ("ip", "unshare", "nsenter") if shutil.which(name) is None]
    return f"it needs {' and '.join(missing)}" if missing else None


class Machine:
    """A machine; its disk is a folder of the same path on all, in which each sees files of its own."""

    def __init__(self, name: str, address: str, folder: Path, bridge: str, mounts: Sequence[str]) -> None:
        """folder: of the network. mounts: commands by which it sees other files than this machine does."""
        self.name, self.address = name, address
        self.disk = folder / "disk"
        self.files = folder / "machines" / name  # its disk, as this machine sees it
        self._link = f"v{secrets.token_hex(4)}"
        for path in (self.disk, *(self.files / below for below in ("tmp", "home", "cache"))):
            path.mkdir(parents=True, exist_ok=True)
        own = f"mount --bind {shlex.quote(str(self.files))} {shlex.quote(str(self.disk))}"
        shm = "mount -t tmpfs -o size=2g none /dev/shm"
        ready = "echo ready; exec sleep infinity"
        script = "\n".join([f"hostname {name}", "ip link set lo up", own, shm, *mounts, ready])
        words = ["unshare", *NAMESPACES, "sh", "-ec", script]
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self._sees = _files_of(self._holder.pid)  # nobody else does: no other process is ended
        assert self._sees not in (None, _files_of(os.getpid()))
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder.pid))
        _ip("link", "set", self._link, "master", bridge, "up")
        self._within("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self._within("ip", "link", "set", "eth0", "up")
        # It leads nowhere, but from it programs see which address is theirs.
        self._within("ip", "route", "add", "default", "via", f"{address.rpartition('.')[0]}.1")

    def _within(self, *words: str) -> None:
        subprocess.run([*self._enter, *words], check=True, capture_output=True)

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), *NAMESPACES]

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
        *,
        through: "Machine | None" = None,
        **options: Any,
    ) -> "subprocess.Popen[Any]":
        """Start a program on it.

        folder: to start it in, by default that of its user. through: the machine whose network it has, as `ssh -L`
        would bring that machine's services here.
        """
        places = {"HOME": self.disk / "home", "TMPDIR": self.disk / "tmp", "XDG_CACHE_HOME": self.disk / "cache"}
        own = {name: str(path) for name, path in places.items()} | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        network = [] if through is None else ["nsenter", "-t", str(through._holder.pid), "--net"]
        command = [
            *self._enter,
            *network,
            "env",
            "--default-signal=INT",
            "-C",
            str(folder or self.disk / "home"),
            *words,
        ]
        return subprocess.Popen(command, env=dict(environment) | own, start_new_session=True, **options)

    def run(self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> str:
        """Run a program on it, to its end; returns what it printed."""
        pipe = subprocess.PIPE
        with self.start(words, environment, folder, stdout=pipe, stderr=pipe, text=True) as process:
            told, said = process.communicate(timeout=600)
            assert process.returncode == 0, (words, process.returncode, told, said)
            return str(told)

    def list_processes(self) -> list[psutil.Process]:
        """List what runs on it."""
        found = (process for process in psutil.process_iter() if process.pid != self._holder.pid)
        return [process for process in found if _files_of(process.pid) == self._sees]

    def send(self, signum: int) -> None:
        """Send a signal to all that runs on it."""
        for process in self.list_processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)

    def cut_off(self) -> None:
        """Take it from the network."""
        _ip("link", "set", self._link, "down")

    def bring_back(self) -> None:
        """Put it back into the network."""
        _ip("link", "set", self._link, "up")

    def kill(self) -> None:
        """End it at once, with all that runs on it."""
        deadline = time.monotonic() + 60
        while self.list_processes():  # some may be starting others
            self.send(signal.SIGKILL)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self._holder.kill()
        self._holder.wait()


class Network:
    """A network of machines, which this machine is the router of; made and ended with `with`."""

    def __init__(self, folder: Path) -> None:
        """folder: for the machines' disks."""
        self.folder = folder
        self._bridge = f"b{secrets.token_hex(4)}"
        self._prefix = f"10.{secrets.randbelow(200) + 40}.{secrets.randbelow(250)}"
        self.machines: list[Machine] = []

    @property
    def address(self) -> str:
        """Of this machine, in the network."""
        return f"{self._prefix}.1"

    def __enter__(self) -> Self:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.kill()
        _ip("link", "del", self._bridge)

    def add(self, name: str, *mounts: str) -> Machine:
        """Add a machine; see there."""
        address = f"{self._prefix}.{2 + len(self.machines)}"
        machine = Machine(name, address, self.folder, self._bridge, mounts)
        self.machines.append(machine)
        return machine


def wait_for_line(stream: IO[str], start: str) -> str:
    """Read what a program prints up to a line; returns the rest of that line."""
    for line in stream:
        if line.startswith(start):
            return line.removeprefix(start).strip()
    raise AssertionError(f"ended without {start}")


def _files_of(pid: int) -> str | None:
    """Which files a process sees: by this it is of a machine, wherever it reaches the network."""
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:  # it has ended
        return None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
