"""A real Ray head of a cluster, for slow tests: processes of their own on loopback, with a token."""

import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

IP = "127.0.0"
"""Of loopback, but for 127.0.0.1, which Ray replaces by the machine's public address."""

BIN = Path(sys.executable).parent


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_token(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Make the token of a cluster; returns the environments of those who talk to it, and of its machines."""
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_", "PYTEST_"))}
    client = kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}
    own = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    return client, client | own


class Head:
    """Started with `with`; ended by process id, as `ray stop` would end every Ray of the machine."""

    def __init__(self, num_cpus: int = 2, *, starts: Mapping[str, float] | None = None, max_workers: int = 2) -> None:
        """num_cpus: of the head. starts: what each machine has that its autoscaler starts; None: it has none."""
        self._folder = tempfile.TemporaryDirectory(prefix="h", dir="/tmp", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.client, self.environment = make_token(self.folder)
        self.port, dashboard, agent, client = (free_port() for _ in range(4))
        self.address, self.dashboard = f"{IP}.2:{self.port}", f"http://127.0.0.1:{dashboard}"
        command = [str(BIN / "ray"), "start", "--head", "--block", f"--node-ip-address={IP}.2", f"--port={self.port}"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--num-cpus={num_cpus}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
        self.command = [*command, f"--temp-dir={self.folder / 'ray'}"]
        if starts is not None:
            self._make_autoscaler(starts, max_workers)

    def _make_autoscaler(self, starts: Mapping[str, float], max_workers: int) -> None:
        """Let it start processes on this machine as further machines of the cluster, as Ray's own tests do."""
        module = "ray.autoscaler._private.fake_multi_node.node_provider"
        own_id = f"{0:0>56}".replace("0", "f", 51)
        provider = {"type": "external", "module": f"{module}.FakeMultiNodeProvider", "gcs_address": self.address}
        worker = {"resources": dict(starts), "node_config": {}, "min_workers": 0, "max_workers": max_workers}
        config: dict[str, object] = {
            "cluster_name": "fake",
            "max_workers": max_workers,
            "idle_timeout_minutes": 0.1,
            "provider": provider | {"launch_multiple": True, "head_node_id": own_id},
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                "worker": worker,
            },
            "head_node_type": "ray.head.default",
        }
        for name in ("setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray", "initialization"):
            config[f"{name}_commands"] = []
        config |= {"file_mounts": {}, "file_mounts_sync_continuously": False, "auth": {}}
        config |= {"cluster_synced_files": [], "rsync_exclude": [], "rsync_filter": []}
        path = self.folder / "autoscaler.json"
        path.write_text(json.dumps(config))
        self.command.append(f"--autoscaling-config={path}")
        ids = dict.fromkeys(("RAY_CLOUD_INSTANCE_ID", "RAY_OVERRIDE_NODE_ID_FOR_TESTING"), own_id)
        # The second is the autoscaler that `ray up` and KubeRay start.
        self.environment |= ids | {"RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1"}
        self.environment["AUTOSCALER_UPDATE_INTERVAL_S"] = "1"

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

    def join(self, *mounts: str, num_cpus: int = 1) -> subprocess.Popen[bytes]:
        """Start a further node, which sees other files where `mounts`, commands, say so. Needs root for these."""
        command = [str(BIN / "ray"), "start", f"--address={self.address}", "--block", f"--num-cpus={num_cpus}"]
        command += [f"--node-ip-address={IP}.{3 + len(self._nodes)}"]
        if mounts:
            command = ["unshare", "-m", "sh", "-ec", "\n".join([*mounts, f"exec {shlex.join(command)}"])]
        with (self.folder / "nodes.log").open("a") as log:
            node = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._nodes.append(node)
        return node

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many nodes have joined, the head among them."""
        words = [
            str(BIN / "ray"),
            "list",
            "nodes",
            f"--address={self.dashboard}",
            "--filter=state=ALIVE",
            "--format=json",
        ]
        deadline = time.monotonic() + 90
        while True:
            done = subprocess.run(words, env=self.client, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 0 and len(json.loads(done.stdout)) == count:
                return
            assert time.monotonic() < deadline, (self.folder / "nodes.log").read_text() + done.stdout + done.stderr
            time.sleep(0.5)

    def kill(self) -> None:
        """End it with all that it started, as a machine that goes away."""
        own = [p for p in psutil.process_iter(["cmdline"]) if str(self.folder) in " ".join(p.info["cmdline"] or [])]
        for started in (self.process, *self._nodes):
            if started.poll() is None:
                own += psutil.Process(started.pid).children(recursive=True)
                started.kill()
        for process in own:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for started in (self.process, *self._nodes):
            started.wait()


def wait_until(holds: Callable[[], bool], seconds: float, process: subprocess.Popen[Any]) -> float:
    """Wait until something holds of what `process` does; returns how long that took."""
    began = time.monotonic()
    while not holds():
        assert process.poll() is None, process.communicate()
        if time.monotonic() - began > seconds:
            process.kill()
            pytest.fail(f"not within {seconds:.0f} s: {process.communicate()}")
        time.sleep(0.1)
    return time.monotonic() - began
