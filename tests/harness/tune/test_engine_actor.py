"""An engine that runs out of memory is followed by smaller ones; without a cluster."""

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.ledger.result import Ended, Epoch, Event, Result
from harness.tune import engine_actor
from harness.tune.engine_actor import EngineSpec, train_fused
from harness.worker.memory import MemoryShortageError

NAMES = [field.name for field in dataclasses.fields(EngineSpec)]
SPEC = EngineSpec(**dict.fromkeys(NAMES, None) | {"capacity": 50})  # type: ignore[arg-type]
TRIAL: Any = SimpleNamespace()


def epochs(*numbers: int) -> list[Event]:
    return [Epoch({"epoch": number}) for number in numbers]


def let_engines(monkeypatch: pytest.MonkeyPatch, *lives: list[Event | Exception]) -> list[int]:
    """Let each engine yield events, up to an error; returns the capacities that they are asked for."""
    capacities: list[int] = []

    def train(spec: EngineSpec, _: object) -> Iterator[Event]:
        capacities.append(spec.capacity)
        for event in lives[len(capacities) - 1]:
            if isinstance(event, Exception):
                raise event
            yield event

    monkeypatch.setattr(engine_actor, "_train_in_one", train)
    return capacities


def test_the_next_engine_trains_half_as_many_and_no_epoch_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Ended(Result(status="diverged"))
    lives = [*epochs(1, 2), MemoryShortageError(40)], [*epochs(1, 2, 3), MemoryShortageError(20)], [*epochs(3, 4), end]
    capacities = let_engines(monkeypatch, *lives)
    said: list[str] = []
    assert list(train_fused(SPEC, TRIAL, said.append)) == [*epochs(1, 2, 3, 4), end]
    assert capacities == [50, 20, 10]
    assert [words.partition(" ")[2] for words in said] == [
        "has no memory for 40 trials at once; it goes on with 20, each from its checkpoint.",
        "has no memory for 20 trials at once; it goes on with 10, each from its checkpoint.",
    ]


def test_one_that_ray_ended_for_lack_of_memory_is_followed_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    killed = ray.exceptions.OutOfMemoryError("low on memory")
    capacities = let_engines(monkeypatch, [*epochs(1), killed], epochs(2))
    assert list(train_fused(SPEC, TRIAL, lambda _: None)) == epochs(1, 2)
    assert capacities == [50, 25]


def test_a_trial_alone_in_its_engine_is_followed_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    let_engines(monkeypatch, [*epochs(1), MemoryShortageError(1)])
    with pytest.raises(MemoryShortageError, match="with 1 trial in"):
        list(train_fused(SPEC, TRIAL, lambda _: pytest.fail("said")))
