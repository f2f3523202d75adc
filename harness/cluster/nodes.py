"""The machines of a cluster: whether each can train a study, asked of it before anything is trained there."""

import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import InputError, first_line
from harness.ledger.provenance import CODE_FOLDER, describe_machine, hash_code
from harness.storage.objects import PlaceError
from harness.storage.place import Place

ANSWER_SECONDS = 60.0  # a machine that was just started has packages to load
MARK = ".seen-by-nodes-"


@dataclass(frozen=True)
class Node:
    """What a machine of the cluster says of itself."""

    node_id: str  # as Ray has it
    name: str
    machine: dict[str, str] = field(default_factory=dict)  # as provenance has it; empty: it has no code of ours
    unseen: str = ""  # why the results of the study, or its images, are out of its reach
    problem: str = ""  # why it does not answer

    @property
    def has_our_code(self) -> bool:
        """Whether its code is that of this process."""
        return self.machine.get("code.sha256") == hash_code()

    def find_fault(self) -> str | None:
        """Why it cannot train the study, and the fix; None where it can."""
        ours = describe_machine()
        if self.problem or not self.machine:
            return (
                f"{self.name} cannot load spikeslab ({self.problem or 'it is not installed'}); install it there, with "
                "the packages it needs, or start the study as a job with `spikeslab submit`"
            )
        if not self.has_our_code:
            return (
                f"{self.name} would train other code than was started from {CODE_FOLDER}; if it was edited meanwhile, "
                "start it again, or install the same on every machine of the cluster"
            )
        theirs, torch = (machine["version.torch"].partition("+")[0] for machine in (self.machine, ours))
        if theirs != torch:
            return f"{self.name} has torch {theirs}, and this machine {torch}; install the same on every machine"
        return f"{self.name} {self.unseen}" if self.unseen else None


@contextmanager
def marked(folder: Path, place: Place) -> Iterator[str]:
    """Put a file into the folder of a study, meanwhile: a machine that does not see it would write elsewhere.

    Yields what it is called on every machine.
    """
    mark = folder / f"{MARK}{uuid.uuid4().hex}"
    there = [*folder.iterdir(), *(item.path for item in place.list(folder, deep=False))]
    place.remove(*{path for path in there if path.name.startswith(MARK)})  # of a driver that was killed
    mark.touch()
    place.share(mark)
    try:
        yield place.name(mark)
    finally:
        with suppress(PlaceError):
            place.remove(mark)


def ask_nodes(mark: str, kept: tuple[str, ...] = (), *, but: Sequence[str] = ()) -> list[Node]:
    """Ask every machine that stays in the cluster. mark: see `marked`. kept: see Dataset. but: ids of those not to ask.

    The head misses a machine that is gone after most of a minute: until then it is asked as well, and does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from harness.cluster.draining import list_draining

    look = ray.remote(num_cpus=0, max_retries=0)(_make_look())
    passed_over = {*but, *list_draining()}
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in passed_over]
    asked = []
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(look.options(scheduling_strategy=place).remote(mark, kept))
    found = []
    for node, answer in zip(nodes, asked, strict=True):
        name = str(node["NodeManagerHostname"])
        if name == socket.gethostname() and len(nodes) > 1:
            name = f"{name} ({node['NodeManagerAddress']})"  # several on one machine
        try:
            said = ray.get(answer, timeout=ANSWER_SECONDS)
            found.append(Node(node["NodeID"], name, said["machine"], said["unseen"], said["problem"]))
        except ray.exceptions.GetTimeoutError:
            found.append(Node(node["NodeID"], name, problem=f"it has not answered for {ANSWER_SECONDS:.0f} s"))
        except ray.exceptions.RayError as error:  # it is gone, or cannot even start a process
            found.append(Node(node["NodeID"], name, problem=first_line(error)))
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return [node for node in found if not node.problem or node.node_id in alive]


def _make_look() -> Any:
    """Make the function that a machine runs; nested, so that Ray ships its code to one that lacks ours."""

    def look(mark: str, kept: tuple[str, ...]) -> dict[str, Any]:
        import os
        import time

        deadline = time.monotonic() + 3  # what NFS remembers of a folder may be some seconds old
        is_path = "://" not in mark
        while is_path and not os.path.exists(mark) and time.monotonic() < deadline:  # noqa: PTH110
            time.sleep(0.2)
        said: dict[str, Any] = {"machine": {}, "unseen": "", "problem": ""}
        try:
            from harness.datasets import find_lack
            from harness.ledger.provenance import describe_machine
            from harness.storage.bucket import find_fault
        except ModuleNotFoundError as error:
            said["problem"] = str(error)
        except ImportError:  # of a version that cannot say
            said["machine"] = {"code.sha256": "older"}
        else:
            said["machine"], said["unseen"] = describe_machine(), find_fault(mark)
            if kept and not said["unseen"]:
                said["unseen"] = find_lack(*kept)
        return said

    return look


def check_nodes(nodes: list[Node]) -> list[Node]:
    """Check that every machine of a cluster can train the study; returns them.

    Raises:
        InputError: one cannot.
    """
    for node in nodes:
        if (fault := node.find_fault()) is not None:
            raise InputError(fault)
    return nodes
