"""A Ray cluster on machines of their own: a head that trains nothing, nodes of a core each, a token."""

import json
import time
from collections.abc import Mapping

from tests.harness.cluster.heads import BIN, make_token
from tests.real_cluster.machines import Machine, Network

PORT, DASHBOARD = 6379, 8265


class Cluster:
    """A head, and nodes that join it; they end with the network."""

    def __init__(self, network: Network, environment: Mapping[str, str], *, name: str = "head") -> None:
        """environment: of all that runs on its machines, besides what Ray needs."""
        self._network, self._name, self._num_nodes = network, name, 0
        self.client, node = make_token(network.folder)  # of those who talk to it
        self.environment = node | dict(environment)
        self.head = network.add(name)
        self.address = f"{self.head.address}:{PORT}"
        words = ["--head", f"--port={PORT}", "--num-cpus=0", f"--temp-dir={self.head.disk / 'ray'}"]
        words += ["--dashboard-host=127.0.0.1", f"--dashboard-port={DASHBOARD}"]
        self._start_ray(self.head, words)
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (log := self.head.files / "ray.log").read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def join(self, *mounts: str) -> Machine:
        """Start a further node, which sees other files where `mounts`, commands, say so."""
        self._num_nodes += 1
        node = self._network.add(f"{self._name}-node{self._num_nodes}", *mounts)
        self._start_ray(node, [f"--address={self.address}", "--num-cpus=1"])
        return node

    def _start_ray(self, machine: Machine, words: list[str]) -> None:
        command = [str(BIN / "ray"), "start", "--block", f"--node-ip-address={machine.address}", *words]
        with (machine.files / "ray.log").open("w") as log:
            machine.start(command, self.environment, stdout=log, stderr=log)

    def count_nodes(self) -> int:
        """How many machines are in the cluster, the head among them."""
        words = ["list", "nodes", f"--address=http://127.0.0.1:{DASHBOARD}", "--filter=state=ALIVE", "--format=json"]
        try:
            told = self.head.run([str(BIN / "ray"), *words], self.environment)
        except AssertionError:  # it has only just begun to answer
            return 0
        return len(json.loads(told))

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many machines are there, the head among them."""
        deadline = time.monotonic() + 120
        while self.count_nodes() != count:
            assert time.monotonic() < deadline
            time.sleep(0.5)
