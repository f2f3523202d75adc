"""A real Ray head of a cluster, for slow tests: a process of its own on 127.0.0.1, with a token."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Self

import psutil

BIN = Path(sys.executable).parent


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Head:
    """Started with `with`; ended by process id, as `ray stop` would end every Ray of the machine."""

    def __init__(self, num_cpus: int = 2) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="h", dir="/tmp", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.token = self.folder / "token"
        self.token.touch(mode=0o600)
        self.token.write_text(secrets.token_hex(32))
        self.port, dashboard, agent, client = (free_port() for _ in range(4))
        self.address, self.dashboard = f"127.0.0.1:{self.port}", f"http://127.0.0.1:{dashboard}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_", "PYTEST_"))}
        self.client = kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        self.environment = self.client | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        command = [str(BIN / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={self.port}"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--num-cpus={num_cpus}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
        self.command = [*command, f"--temp-dir={self.folder / 'ray'}"]

    def __enter__(self) -> Self:
        with (self.folder / "head.log").open("w") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 90
        while "Ray runtime started" not in (self.folder / "head.log").read_text():
            assert self.process.poll() is None, (self.folder / "head.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def kill(self) -> None:
        """End it with all that it started, as a machine that goes away."""
        own = [p for p in psutil.process_iter(["cmdline"]) if str(self.folder) in " ".join(p.info["cmdline"] or [])]
        if self.process.poll() is None:
            own += psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for process in own:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
