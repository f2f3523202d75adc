"""The engine: every trial has the events that it has alone, whichever others come and go beside it."""

import dataclasses
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.datasets import Dataset
from harness.ledger.result import Ended, Epoch, Event, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.metrics import Measures
from harness.worker import slots as slots_module
from harness.worker.engine import Engine
from harness.worker.memory import MemoryShortageError
from harness.worker.trial_run import TrialRun, run_trial
from models.objectives.capacity import CapacityElbo
from models.objectives.elbo import WeightedElbo
from models.objectives.objective import Terms
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.stacked.stack import Stack

MEASURES = Measures(("elbo", "sparsity"), iw_samples=3, checkpoint_every=1)


def make_trial(dataset: Dataset, **changes: Any) -> Trial:
    tiny: dict[str, Any] = {"model": "vsc", "alpha": 0.3, "latent_dim": 3, "hidden": (8,), "batch_size": 100}
    settings = {"epochs": 4, "learning_rate": 0.01} | tiny | changes
    if settings["model"] == "vae":
        del settings["alpha"]
    return Trial(TrialSettings(**settings), dataset.name, dataset.content_hash)


def make_trials(dataset: Dataset) -> list[Trial]:
    return [
        make_trial(dataset),
        make_trial(dataset, model="vae", latent_dim=6, epochs=2),
        make_trial(dataset, alpha=0.1, latent_dim=5, learning_rate=1e-3, seed=1),
        make_trial(dataset, model="vae", epochs=2),  # of no other width than the first
        make_trial(dataset, batch_size=64, epochs=3),  # a stack of its own
        make_trial(dataset, num_validation=60, epochs=3),  # images of its own
    ]


@pytest.fixture
def make_engine(dataset: Dataset, tmp_path: Path) -> Callable[..., Engine]:
    def make(folder: str = "fused", checkpoint_every: int = 1, **options: Any) -> Engine:
        measures = dataclasses.replace(MEASURES, checkpoint_every=checkpoint_every)
        return Engine(dataset, measures, tmp_path / folder, **{"capacity": 8, "latent_dim": 6} | options)

    return make


@pytest.fixture
def working() -> Iterator[Callable[[Engine], threading.Thread]]:
    """Lets engines train in a thread, and waits for them at the end."""
    threads: list[threading.Thread] = []

    def start(engine: Engine) -> threading.Thread:
        thread = threading.Thread(target=engine.run, kwargs={"idle_seconds": 0.3})
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def collect(engine: Engine, slot: int) -> list[Event]:
    events: list[Event] = []
    while not events or isinstance(events[-1], Epoch):
        events += engine.slots.fetch(slot)
    return events


def train_alone(trial: Trial, dataset: Dataset, folder: Path) -> list[Event]:
    return list(run_trial(trial, MEASURES, dataset, folder))


def metrics_of(events: list[Event]) -> list[Row]:
    return [{name: value for name, value in event.metrics.items() if name != "seconds"} for event in events]


def assert_alike(given: list[Event], expected: list[Event], *, is_batched: bool = False) -> None:
    """To the bit, unless what is batched adds in another order."""
    assert [type(event) for event in given] == [type(event) for event in expected]
    if not is_batched:
        assert metrics_of(given) == metrics_of(expected)
        return
    assert [event.metrics.keys() for event in given] == [event.metrics.keys() for event in expected]
    for one, other in zip(metrics_of(given), metrics_of(expected), strict=True):
        for name, value in one.items():
            reference = other[name]
            is_number = isinstance(reference, float) and isinstance(value, float)
            assert value == (pytest.approx(reference, rel=1e-4, abs=1e-6) if is_number else reference), name


@pytest.mark.parametrize("is_batched", [False, True])
def test_every_trial_has_the_events_and_files_it_would_have_alone(
    is_batched: bool,
    dataset: Dataset,
    tmp_path: Path,
    make_engine: Callable[..., Engine],
    working: Callable[[Engine], object],
) -> None:
    # One that no stack can train comes first, before others of the same model.
    trials = [make_trial(dataset, likelihood="gaussian", epochs=2), *make_trials(dataset)]
    engine = make_engine(is_batched=is_batched)
    trials.append(make_trial(dataset, binarisation="dynamic"))  # like others in all but its pixels
    if not is_batched:  # of an odd width, which leaves the second one's tensors unaligned if nobody sees to it
        trials += [make_trial(dataset, hidden=(33,), latent_dim=5, batch_size=1, epochs=1, seed=s) for s in range(2)]
    slots = [engine.slots.submit(trial) for trial in trials]
    working(engine)
    for trial, slot in zip(trials, slots, strict=True):
        events = collect(engine, slot)
        assert_alike(events, train_alone(trial, dataset, tmp_path / "elsewhere" / "alone"), is_batched=is_batched)
        fused, alone = (TrialFolder(tmp_path / name, trial) for name in ("fused", "elsewhere/alone"))
        result = fused.read_result()
        (checkpoint, _), (reference, _) = (read_checkpoint(f.list_own_states()[0]) for f in (fused, alone))
        assert result is not None
        assert (result.status, len(result.history)) == ("finished", trial.settings.epochs)
        for name, tensor in reference.items():
            tolerance = {"rtol": 1e-3, "atol": 1e-5} if is_batched else {"rtol": 0, "atol": 0}
            torch.testing.assert_close(checkpoint[name], tensor, **tolerance)


def test_a_trial_has_the_trainer_that_it_has_alone_whoever_came_before(
    dataset: Dataset, make_engine: Callable[..., Engine]
) -> None:
    engine = make_engine()
    for settings in ({"likelihood": "gaussian"}, {}, {"likelihood": "gaussian", "seed": 1}, {"seed": 1}):
        engine.slots.submit(make_trial(dataset, model="vae", **settings))
    engine.step()
    trainers = [(type(cohort.trainer), len(cohort.slots)) for cohort in engine._cohorts]
    assert trainers == [(AutogradTrainer, 2), (Stack, 2)]


def test_more_trials_than_there_is_room_for_are_trained_as_others_end(
    dataset: Dataset, make_engine: Callable[..., Engine], working: Callable[[Engine], object]
) -> None:
    engine = make_engine(capacity=2)
    slots = [engine.slots.submit(make_trial(dataset, seed=seed, epochs=2)) for seed in range(5)]
    sizes: list[int] = []
    fit_epoch = engine._fit_epoch

    def watch(cohort: Any) -> None:
        sizes.append(len(cohort.slots))
        fit_epoch(cohort)

    engine._fit_epoch = watch  # type: ignore[method-assign]
    working(engine)
    assert [len(collect(engine, slot)) for slot in slots] == [2] * 5
    assert max(sizes) == 2


def test_a_trial_that_joins_in_the_middle_changes_no_other(
    dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine]
) -> None:
    engine = make_engine()
    first = engine.slots.submit(make_trial(dataset))
    engine.step()
    second = engine.slots.submit(make_trial(dataset, seed=9))
    for _ in range(4):
        engine.step()
    assert not engine.step()
    assert_alike(collect(engine, first), train_alone(make_trial(dataset), dataset, tmp_path / "elsewhere" / "alone"))
    assert_alike(
        collect(engine, second), train_alone(make_trial(dataset, seed=9), dataset, tmp_path / "elsewhere" / "alone")
    )
    assert engine.slots.is_idle


def test_a_trial_that_leaves_can_come_back_to_where_its_checkpoint_is(
    dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine]
) -> None:
    engine, trial = make_engine(), make_trial(dataset)
    slot = engine.slots.submit(trial)
    engine.step()
    engine.step()
    engine.slots.leave(slot)
    assert not engine.step()
    with pytest.raises(slots_module.ReleasedError):
        engine.slots.fetch(slot)
    other = make_engine()  # as after the death of the first one
    slot = other.slots.submit(trial)
    other.step()
    other.step()
    assert not other.step()
    assert_alike(collect(other, slot), train_alone(trial, dataset, tmp_path / "elsewhere" / "alone"))
    assert "resumed from its checkpoint after epoch 2" in TrialFolder(tmp_path / "fused", trial).log.read_text()


def test_a_trial_released_while_an_epoch_trains_keeps_that_epoch(
    dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, trial = make_engine(checkpoint_every=10), make_trial(dataset)
    slot, fit_epoch = engine.slots.submit(trial), Stack.fit_epoch

    def fit_and_release(self: Stack, images: torch.Tensor) -> Any:
        engine.slots.leave(slot)
        return fit_epoch(self, images)

    engine.step()
    monkeypatch.setattr(Stack, "fit_epoch", fit_and_release)
    engine.step()
    engine.step()
    assert TrialFolder(tmp_path / "fused", trial).count_stored_epochs() == 2


def test_a_flush_waits_until_what_was_released_is_stored(
    dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine], working: Callable[[Engine], object]
) -> None:
    engine, trial = make_engine(checkpoint_every=10_000), make_trial(dataset, epochs=10_000)
    slot = engine.slots.submit(trial)
    working(engine)
    num_seen = len(engine.slots.fetch(slot))
    engine.slots.leave(slot)
    engine.slots.flush(30)
    assert TrialFolder(tmp_path / "fused", trial).count_stored_epochs() >= num_seen > 0


def test_a_trial_submitted_again_is_trained_once(dataset: Dataset, make_engine: Callable[..., Engine]) -> None:
    engine, trial = make_engine(), make_trial(dataset)
    old = engine.slots.submit(trial)
    engine.step()
    new = engine.slots.submit(trial)
    engine.slots.leave(old)  # too late to matter
    while engine.step():
        assert sum(len(cohort.slots) for cohort in engine._cohorts) <= 1
    assert len(collect(engine, new)) == 4


def test_a_finished_trial_is_measured_and_not_trained(
    dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(dataset)
    expected = train_alone(trial, dataset, tmp_path / "fused")
    monkeypatch.setattr(Stack, "fit_epoch", lambda *_: pytest.fail("trained"))
    engine = make_engine()
    slot = engine.slots.submit(trial)
    assert not engine.step()
    assert_alike(collect(engine, slot), expected)


@pytest.mark.parametrize("where", ["in a step", "in measuring"])
def test_one_that_diverges_or_fails_ends_alone(
    where: str, dataset: Dataset, tmp_path: Path, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"model": "annealed_vsc", "capacity": 2.0} if where == "in a step" else {}
    calm, wild, broken = (
        make_trial(dataset, seed=s, learning_rate=r, beta=b, **model)
        for s, r, b in ((0, 0.01, 1.0), (1, 1e30, 1.0), (2, 0.01, 3.0))
    )
    add_epoch, terms = TrialRun.add_epoch, CapacityElbo.terms

    def fail(run: TrialRun, *args: Any) -> Epoch:
        if run.trial is broken:
            raise RuntimeError("out of luck")
        return add_epoch(run, *args)

    def fail_in_a_step(objective: CapacityElbo, *args: Any) -> Terms:
        if objective.beta == 3:
            raise RuntimeError("out of luck")
        return terms(objective, *args)

    if where == "in a step":
        monkeypatch.setattr(CapacityElbo, "terms", fail_in_a_step)
    else:
        monkeypatch.setattr(TrialRun, "add_epoch", fail)
    engine = make_engine()
    slots = [engine.slots.submit(trial) for trial in (wild, calm, broken)]
    for _ in range(4):
        engine.step()
    (diverged,), calm_events, (failed,) = (collect(engine, slot) for slot in slots)
    assert isinstance(diverged, Ended)
    assert diverged.result.status == "diverged"
    assert "epoch 1, at step 2" in str(diverged.result.error)
    assert isinstance(failed, Ended)
    assert (failed.result.status, failed.result.error) == ("failed", "RuntimeError: out of luck")
    place = "fail_in_a_step" if where == "in a step" else "in fail"
    assert place in TrialFolder(tmp_path / "fused", broken).log.read_text(), "its traceback"
    monkeypatch.undo()
    assert_alike(calm_events, train_alone(calm, dataset, tmp_path / "elsewhere" / "alone"))


def test_a_trial_whose_end_cannot_be_written_raises_in_its_process_and_in_no_other(
    dataset: Dataset, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, wild = make_trial(dataset, epochs=2), make_trial(dataset, seed=1, learning_rate=1e30)

    def fail(*_: object) -> Ended:
        raise OSError("no space left")

    monkeypatch.setattr(TrialRun, "fail", fail)
    engine = make_engine()
    slots = [engine.slots.submit(trial) for trial in (sound, wild)]
    engine.step()
    engine.step()
    with pytest.raises(OSError, match="no space left"):
        engine.slots.fetch(slots[1])
    assert isinstance(collect(engine, slots[0])[-1], Ended)
    assert engine.slots.is_idle


def test_an_engine_that_ends_accepts_no_trial(dataset: Dataset, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.run(idle_seconds=0)
    with pytest.raises(RuntimeError, match="another one will take the trial"):
        engine.slots.submit(make_trial(dataset))


def test_a_trial_released_before_it_was_admitted_is_never_trained(
    dataset: Dataset, make_engine: Callable[..., Engine]
) -> None:
    engine = make_engine()
    engine.slots.leave(engine.slots.submit(make_trial(dataset)))
    assert engine.slots.is_idle
    assert not engine.step()


def test_what_was_trained_for_a_driver_that_is_gone_is_stored(
    dataset: Dataset, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    engine, trial = make_engine(checkpoint_every=100), make_trial(dataset)
    engine.slots.submit(trial)
    engine.step()
    engine.slots.release_all()
    engine.step()
    _, epochs = TrialFolder(tmp_path / "fused", trial).find_state()
    assert len(epochs) == 1
    assert engine.slots.is_idle
    with pytest.raises(RuntimeError, match="another one will take the trial"):
        engine.slots.submit(trial)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("in a step", MemoryError()),
        ("in a step of one", MemoryError()),
        ("as one joins", MemoryError()),
        ("in a step", torch.AcceleratorError("CUDA error: out of memory")),
        (
            "in a step of one",
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        ),
        ("in a step", RuntimeError("Triton Error [CUDA]: out of memory")),
    ],
)
def test_an_engine_without_memory_says_with_how_many_trials_and_ends(
    where: str,
    error: Exception,
    dataset: Dataset,
    make_engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    engine = make_engine()
    model = {"likelihood": "gaussian"} if where == "in a step of one" else {}
    slots = [engine.slots.submit(make_trial(dataset, seed=seed, **model)) for seed in range(3)]
    places = {"in a step": (Stack, "fit_epoch"), "in a step of one": (WeightedElbo, "terms")}
    monkeypatch.setattr(*places.get(where, (TrialRun, "restore")), fail)
    with pytest.raises(MemoryShortageError):
        engine.run(idle_seconds=1)
    for slot in slots:
        with pytest.raises(MemoryShortageError) as raised:
            engine.slots.fetch(slot)
        again = pickle.loads(pickle.dumps(raised.value))  # as it goes from process to process
        assert str(again) == "out of memory with 3 trials in the process"


def test_when_the_device_fails_every_trial_is_notified(
    dataset: Dataset, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the device is gone")

    engine = make_engine()
    slots = [engine.slots.submit(make_trial(dataset, seed=seed)) for seed in range(2)]
    monkeypatch.setattr(Stack, "fit_epoch", fail)
    with pytest.raises(RuntimeError, match="device is gone"):
        engine.run(idle_seconds=1)
    for slot in slots:
        with pytest.raises(RuntimeError, match="device is gone"):
            engine.slots.fetch(slot)


def test_a_trial_that_no_process_asks_for_is_released(
    dataset: Dataset, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    engine.slots.submit(make_trial(dataset))
    monkeypatch.setattr(slots_module, "ABANDONED_SECONDS", -1.0)
    assert not engine.step()
    assert engine.slots.is_idle


def test_in_step_no_epoch_begins_before_every_trial_has_asked(
    dataset: Dataset, make_engine: Callable[..., Engine], working: Callable[[Engine], object]
) -> None:
    engine = make_engine(is_in_step=True)
    one, other = (engine.slots.submit(make_trial(dataset, seed=seed)) for seed in range(2))
    working(engine)
    got: list[list[Event]] = []
    asking = threading.Thread(target=lambda: got.append(engine.slots.fetch(one)))
    asking.start()
    asking.join(0.3)
    assert asking.is_alive(), "the other one has not asked yet"
    assert [event.metrics["epoch"] for event in engine.slots.fetch(other)] == [1]
    asking.join(5)
    assert [event.metrics["epoch"] for event in got[0]] == [1]
    engine.slots.leave(one)
    rest = collect(engine, other)
    assert [event.metrics["epoch"] for event in rest] == [2, 3, 4]


def test_room_is_given_back(dataset: Dataset, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    short = [engine.slots.submit(make_trial(dataset, seed=seed, epochs=1)) for seed in range(7)]
    engine.slots.submit(make_trial(dataset, seed=9))
    engine.step()
    assert engine._cohorts[0].trainer.capacity == 4
    engine.step()
    assert engine._cohorts[0].trainer.capacity == 2
    for slot in short:
        assert len(collect(engine, slot)) == 1
