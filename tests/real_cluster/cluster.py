"""A Ray cluster on machines of their own: a head that trains nothing, nodes of a core each, a token."""

import subprocess
from collections.abc import Mapping

from tests.harness.cluster.heads import BIN, make_token
from tests.real_cluster.machines import Machine, Network

PORT, DASHBOARD = 6379, 8265


class Cluster:
    """A head, and nodes that join it; they end with the network."""

    def __init__(self, network: Network, environment: Mapping[str, str], *, name: str = "head") -> None:
        """environment: of all that runs on its machines, besides what Ray needs."""
        self._network, self._name = network, name
        self.client, node = make_token(network.folder)  # of those who talk to it
        self.environment = node | dict(environment)
        self.head = network.add(name)
        self.address = f"{self.head.address}:{PORT}"
        words = ["--head", f"--port={PORT}", "--num-cpus=0", f"--temp-dir={self.head.disk / 'ray'}"]
        words += ["--dashboard-host=127.0.0.1", f"--dashboard-port={DASHBOARD}"]
        self._started: list[tuple[Machine, subprocess.Popen[bytes]]] = []
        self._start_ray(self.head, words)
        self.wait_for_nodes()

    def join(self, *mounts: str) -> Machine:
        """Start a further node, which sees other files where `mounts`, commands, say so."""
        node = self._network.add(f"{self._name}-node{len(self._started)}", *mounts)
        self._start_ray(node, [f"--address={self.address}", "--num-cpus=1"])
        return node

    def _start_ray(self, machine: Machine, words: list[str]) -> None:
        command = [str(BIN / "ray"), "start", f"--node-ip-address={machine.address}", *words]
        with (machine.files / "ray.log").open("w") as log:  # without --block, which ends all where one server ends
            self._started.append((machine, machine.start(command, self.environment, stdout=log, stderr=log)))

    def wait_for_nodes(self) -> None:
        """Wait until all that were started are in the cluster."""
        for machine, starting in self._started:
            assert starting.wait(timeout=240) == 0, (machine.files / "ray.log").read_text()
