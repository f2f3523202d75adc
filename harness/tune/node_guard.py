"""Machines that join or leave the cluster while a study runs: one that cannot train it, or no more, gets no trial."""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

import ray
from ray.core.generated.common_pb2 import NodeDeathInfo

from harness.cluster.nodes import Node, ask_nodes
from harness.ledger.provenance import record_nodes
from harness.study.sections import Resources
from harness.tune.study_run import StudyRun

LOOK_SECONDS = 3.0
IDLE = NodeDeathInfo.Reason.Value("AUTOSCALER_DRAIN_IDLE")
"""Why a machine is gone that nothing ran on."""


class NodeGuard:
    """Looks for machines that are new or gone in a thread, meanwhile."""

    def __init__(self, run: StudyRun, mark: str, nodes: Iterable[Node], resources: Resources) -> None:
        """mark: which whoever trains must see. nodes: asked before. resources: of a trial."""
        self._run, self._mark = run, mark
        self._training = {node.node_id: node.name for node in nodes}
        self._known = set(self._training)
        self._resources = resources
        self._plugs: list[Any] = []
        self.on_join: Callable[[], None] = lambda: None  # called once a machine has joined that can train the study
        self._doubt, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="nodes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        for plug in self._plugs:
            ray.kill(plug)

    def _work(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # noqa: S112 (the head does not answer now; what that means is said elsewhere)
                continue

    def doubt(self) -> None:
        """Let the machines that train be asked again, as a process of one says that it cannot."""
        self._doubt.set()

    def look(self) -> None:
        """Ask machines that are new or in doubt, keep trials from those that cannot train, and say which are gone."""
        nodes = ray.nodes()
        alive = {node["NodeID"]: node for node in nodes if node["Alive"]}
        self._tell_of_lost({node["NodeID"] for node in nodes if not node["Alive"] and node["DeathReason"] != IDLE})
        trusted = self._known - (self._training.keys() if self._doubt.is_set() else set())
        self._doubt.clear()
        if alive.keys() <= trusted:
            return
        asked = ask_nodes(self._mark, self._run.dataset.kept, but=sorted(trusted))
        asked = [node for node in asked if node.node_id in alive]  # what has joined meanwhile is asked next
        places = {node.node_id: self._resources.count_on_machine(alive[node.node_id]["Resources"]) for node in asked}
        # Where none is fit, all may lack the same for a while, and the study would never end without a place.
        is_one_fit = any(places[node.node_id] and node.find_fault() is None for node in asked)
        for node in asked:
            fault, is_new = node.find_fault(), node.node_id not in self._known
            self._known.add(node.node_id)
            if fault is None and is_new:
                self._training[node.node_id] = node.name
                self.on_join()
                record_nodes(self._run.folder, [node.machine])
            elif fault is not None and (is_new or (is_one_fit and not node.problem)):  # else it may only be busy
                self._training.pop(node.node_id, None)
                what = "joined that trains nothing" if is_new else "trains nothing more"
                self._run.console.print(f"A machine {what} of this study: {fault}.", soft_wrap=True)
                self._plug(node.node_id, alive[node.node_id]["Resources"])

    def _tell_of_lost(self, lost: set[str]) -> None:
        for node_id in lost & self._training.keys():
            name = self._training.pop(node_id)
            self._run.console.print(
                f"A machine is gone, {name}: trials that it had go on elsewhere, from their checkpoints.",
                soft_wrap=True,
            )

    def _plug(self, node_id: str, has: dict[str, float]) -> None:
        """Take what the machine has, in pieces as large as a trial, as trials may hold some of it now."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        wanted = {"CPU": self._resources.num_cpus, "GPU": float(self._resources.gpu)}
        count = min(int(has.get(kind, 0) / amount) for kind, amount in wanted.items() if amount)
        plug = _make_plug().options(
            num_cpus=wanted["CPU"],
            num_gpus=wanted["GPU"],
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        self._plugs += [plug.remote() for _ in range(count)]


def _make_plug() -> Any:
    """Make the class of an actor that does nothing; nested, as the machine may lack our code."""

    class Plug:
        pass

    return ray.remote(Plug)
