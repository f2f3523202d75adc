"""Machines that leave or fail while a study runs: those that may have had trials are named, once."""

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from rich.console import Console

from harness.cluster.nodes import Node
from harness.ledger.provenance import describe_machine
from harness.study.sections import Resources
from harness.tune.node_guard import IDLE, NodeGuard


def describe(node_id: str, *, alive: bool = True, reason: int = 0) -> dict[str, Any]:
    return {"NodeID": node_id, "Alive": alive, "DeathReason": reason, "Resources": {"CPU": 2.0}}


def make_guard(nodes: list[Node], output: io.StringIO) -> NodeGuard:
    run: Any = SimpleNamespace(console=Console(file=output, width=200), dataset=SimpleNamespace(kept=()))
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


@pytest.mark.parametrize(
    ("fault", "are_all", "is_plugged"),
    [
        ({"unseen": "does not see /results; mount it"}, False, True),
        ({"unseen": "does not see /results; mount it"}, True, False),  # the study would wait for ever
        ({"problem": "it has not answered for 60 s"}, False, False),  # it may be busy
    ],
)
def test_a_machine_that_trains_no_more_is_asked_again_and_gets_no_trial(
    fault: dict[str, str], are_all: bool, is_plugged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, plugged, passed_over = io.StringIO(), [], []
    fit = [Node(name, name, describe_machine()) for name in "ab"]
    now = [replace(fit[0], **fault) if are_all else fit[0], replace(fit[1], **fault)]

    def ask(*_: object, but: list[str]) -> list[Node]:
        passed_over.append(but)
        return [node for node in now if node.node_id not in but]

    monkeypatch.setattr(ray, "nodes", lambda: [describe("a"), describe("b")])
    monkeypatch.setattr("harness.tune.node_guard.ask_nodes", ask)
    guard = make_guard(fit, output)
    monkeypatch.setattr(guard, "_plug", lambda node_id, _: plugged.append(node_id))
    guard.look()
    assert passed_over == [], "nobody doubts"
    guard.doubt()
    guard.look()
    guard.look()
    assert passed_over == [[]]
    assert plugged == ["b"] * is_plugged
    said = "A machine trains nothing more of this study: b does not see /results; mount it.\n"
    assert output.getvalue() == said * is_plugged
    guard.doubt()
    guard.look()
    assert passed_over == [[], ["b"] * is_plugged]
    assert plugged == ["b"] * is_plugged
