"""An engine without memory is followed by smaller ones, and one that took a process for dead takes its trial back."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.datasets import Dataset
from harness.ledger.result import Ended, Epoch, Event, Result
from harness.tune import engine_actor
from harness.tune.engine_actor import EngineSpec, train_fused
from harness.worker import slots as slots_module
from harness.worker.engine import Engine
from harness.worker.memory import MemoryShortageError
from tests.harness.worker.test_engine import assert_alike, make_engine, make_trial, train_alone
from tests.harness.worker.tiny_trials import dataset

__all__ = ["dataset", "make_engine"]  # fixtures

NAMES = [field.name for field in dataclasses.fields(EngineSpec)]
SPEC = EngineSpec(**dict.fromkeys(NAMES, None) | {"capacity": 50})  # type: ignore[arg-type]
TRIAL: Any = SimpleNamespace()


def epochs(*numbers: int) -> list[Event]:
    return [Epoch({"epoch": number}) for number in numbers]


def let_engines(monkeypatch: pytest.MonkeyPatch, *lives: list[Event | Exception]) -> list[int]:
    """Let each engine yield events, up to an error; returns the capacities that they are asked for."""
    capacities: list[int] = []

    def train(spec: EngineSpec, *_: object) -> Iterator[Event]:
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


def test_what_an_engine_could_not_compile_for_its_card_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = iter([epochs(1), epochs(2), [Ended(Result(status="finished"))]])
    slow = iter([None, "steps take longer than they need"])  # asked no oftener, though three are fetched
    calls = {"fetch": lambda _: next(lives), "describe_slowness": lambda: next(slow)}
    actor = SimpleNamespace(**{name: SimpleNamespace(remote=call) for name, call in calls.items()})
    monkeypatch.setattr(engine_actor, "_submit", lambda *_: (actor, 0))
    monkeypatch.setattr("ray.get", lambda value: value)
    said: list[str] = []
    assert len(list(train_fused(dataclasses.replace(SPEC, device="cuda"), TRIAL, said.append))) == 3
    assert [words.partition(": ")[2] for words in said] == ["steps take longer than they need"]


def test_a_driver_that_stands_still_for_long_costs_no_trial(
    dataset: Dataset, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine, trial, submitted = make_engine(), make_trial(dataset), list[int]()

    def fetch(slot: int) -> list[Event]:
        engine.step()
        return engine.slots.fetch(slot)

    def submit(*_: object) -> tuple[Any, int]:
        submitted.append(engine.slots.submit(trial))
        actor = {"fetch": fetch, "leave": engine.slots.leave}
        return SimpleNamespace(**{name: SimpleNamespace(remote=call) for name, call in actor.items()}), submitted[-1]

    monkeypatch.setattr(engine_actor, "_submit", submit)
    monkeypatch.setattr("ray.get", lambda value: value)
    monkeypatch.setattr(slots_module, "ABANDONED_SECONDS", 0.2)
    found: list[Event] = []
    for event in train_fused(SPEC, trial, lambda _: pytest.fail("said")):
        found.append(event)
        if len(found) == 2:
            time.sleep(0.3)
    assert len(submitted) > 1
    assert_alike(found, train_alone(trial, dataset, tmp_path / "elsewhere" / "alone"))
