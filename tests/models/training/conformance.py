"""What every trainer keeps to, as checks of a trainer and a trial's settings, with what they start from."""

import dataclasses
from collections.abc import Callable
from typing import Any

from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.stacked.stack import Stack
from models.training.state import TrainState, init_state
from models.training.trainer import EpochMetrics, Trainer
from tests.models.cases import DEVICE, SMALL, assert_same_tensors, copy_tensors, make_images

MakeTrainer = Callable[..., Trainer]
IMAGES = make_images(70, SMALL).to(DEVICE)  # batches of 32, 32 and 6


def make_autograd(settings: TrialSettings, capacity: int = 1) -> Trainer:
    return AutogradTrainer(settings, SMALL, capacity=capacity, device=DEVICE)


def make_stack(settings: TrialSettings, capacity: int = 1) -> Trainer:
    return Stack(settings, SMALL, settings.latent_dim, capacity=capacity, device=DEVICE)


LIMIT = 1e-5 if DEVICE.type == "cpu" else 1e-4  # after 50 steps; a GPU's kernels may round otherwise than one another


def begin(trainer: Trainer, settings: TrialSettings) -> None:
    """Add a trial at its start."""
    trainer.add(settings, init_state(settings, SMALL, DEVICE).tensors(), epoch=0, step=0)


def take(trainer: Trainer, index: int = 0, shape: Any = SMALL) -> TrainState:
    """A copy of a member's state."""
    member = trainer.members[index]
    state = init_state(member.settings, shape, DEVICE, is_drawn=False)
    trainer.store(index, state.tensors())
    state.epoch, state.step = member.epoch, member.step
    return state


def with_changes(settings: TrialSettings, **changes: Any) -> TrialSettings:
    return TrialSettings(**(settings.to_dict() | changes))


def measure_epoch(trainer: Trainer) -> EpochMetrics:
    """What the next epoch of a trainer's only member measures, without the time that it takes."""
    (outcome,) = trainer.fit_epoch(IMAGES)
    assert isinstance(outcome, EpochMetrics), outcome
    return dataclasses.replace(outcome, seconds=0.0)


def check_resumed_equals_uninterrupted(make: MakeTrainer, settings: TrialSettings) -> None:
    """Training that is stopped and resumed equals uninterrupted training, to the bit."""
    whole, first = make(settings), make(settings)
    begin(whole, settings)
    begin(first, settings)
    expected = [measure_epoch(whole) for _ in range(3)]
    first.fit_epoch(IMAGES)
    stored = take(first)
    second = make(settings)
    second.add(settings, copy_tensors(stored), epoch=stored.epoch, step=stored.step)
    assert [measure_epoch(second) for _ in range(2)] == expected[1:]
    assert_same_tensors(take(second).tensors(), take(whole).tensors())


def check_neighbours_change_nothing(make: MakeTrainer, settings: TrialSettings) -> None:
    """A trial has the bits that it has alone, whichever others come and go."""
    # On a GPU products of more models may add in another order: there the trial alone has as many slots.
    alone, shared = make(settings, 1 if DEVICE.type == "cpu" else 3), make(settings, 3)
    begin(alone, settings)
    for seed in (7, 0, 8):
        begin(shared, with_changes(settings, seed=seed, learning_rate=0.01 if seed == 0 else 0.02))
    for epoch in range(3):
        alone.fit_epoch(IMAGES)
        shared.fit_epoch(IMAGES)
        if epoch == 0:
            shared.remove(0)  # the last one takes its place
        if epoch == 1:
            shared.resize(5)
            alone.resize(1 if DEVICE.type == "cpu" else 5)
            begin(shared, with_changes(settings, seed=9))
    index = next(k for k, member in enumerate(shared.members) if member.settings == settings)
    assert_same_tensors(take(shared, index).tensors(), take(alone).tensors())


def check_alike_after_fifty_steps(settings: TrialSettings, changes: dict[str, Any], hidden: tuple[int, ...]) -> None:
    """Both trainers come to the same parameters, up to rounding."""
    images = make_images(50 * 8, SMALL).to(DEVICE)
    chosen = with_changes(settings, **{"hidden": hidden, "batch_size": 8, "learning_rate": 1e-3} | changes)
    states = []
    for make in (make_autograd, make_stack):
        trainer = make(chosen)
        begin(trainer, chosen)
        trainer.fit_epoch(images)
        assert trainer.members[0].step == 50
        states.append(take(trainer))
    for one, other in zip(*(state.model.parameters() for state in states), strict=True):
        assert (one - other).norm() <= LIMIT * other.norm()
