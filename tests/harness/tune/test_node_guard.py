"""Machines that leave while a study runs: those that may have had trials are named, once."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from rich.console import Console

from harness.cluster.nodes import Node
from harness.study.sections import Resources
from harness.tune.node_guard import IDLE, NodeGuard


def describe(node_id: str, *, alive: bool = True, reason: int = 0) -> dict[str, Any]:
    return {"NodeID": node_id, "Alive": alive, "DeathReason": reason}


def make_guard(nodes: list[Node], output: io.StringIO) -> NodeGuard:
    run: Any = SimpleNamespace(console=Console(file=output, width=200))
    return NodeGuard(run, "mark", nodes, Resources())


def test_a_machine_that_is_gone_is_said_once_and_one_that_was_idle_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    nodes = [Node("a", "head"), Node("b", "first"), Node("c", "second")]
    guard = make_guard(nodes, output)
    there = [describe("a"), describe("b"), describe("c"), describe("earlier", alive=False, reason=2)]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    guard.look()
    assert not output.getvalue()
    there[1:3] = [describe("b", alive=False, reason=2), describe("c", alive=False, reason=IDLE)]
    guard.look()
    guard.look()
    assert output.getvalue() == (
        "A machine is gone, first: trials that it had go on elsewhere, from their checkpoints.\n"
    )
