"""Stacks trained on the device that `SPIKESLAB_DEVICE` names, as on a GPU: batched."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from models.latents.latent import At
from models.numerics.precision import has_precision
from models.numerics.recording import Recording
from models.pixels import to_pixels
from models.randomness import CounterNoise, make_key, make_row_keys
from models.settings import TrialSettings
from models.training import autograd_trainer
from models.training.autograd_trainer import AutogradTrainer
from models.training.fit import fit
from models.training.sharpness import compute_sharpness
from models.training.stacked import cuda_graph
from models.training.stacked.cuda_graph import GRAPH_STEPS
from models.training.stacked.stack import Stack
from models.training.state import TrainState, init_state
from models.training.trainer import DivergedError, Member
from tests.models.cases import DEVICE, MIXED, SMALL, assert_same_tensors, get_loss, make_images, make_settings
from tests.models.training.stacked.compiling import NUM_REGIONS

TRIALS = [TrialSettings(hidden=(16,), batch_size=8, epochs=9, **one) for one in MIXED]
LATENT_DIM = 8
"""To which they are padded. On a CPU torch computes the last few of a tensor's numbers, where their count is no
multiple of 32, by another implementation of exp: then the last slot would differ in the last bit, now and then."""

# Two whole graphs, the first of which warms up, then the steps of a shorter one.
NUM_STEPS = 2 * GRAPH_STEPS + 3
IMAGES = make_images(8 * NUM_STEPS, SMALL)


def make_stack(trials: list[TrialSettings], capacity: int) -> Stack:
    stack = Stack(TRIALS[0], SMALL, LATENT_DIM, capacity=capacity, device=DEVICE, is_batched=True)
    for settings in trials:
        join(stack, settings)
    return stack


def join(stack: Stack, settings: TrialSettings, state: TrainState | None = None) -> None:
    """Add a trial, at its start unless a state is given."""
    state = state or init_state(settings, SMALL, DEVICE)
    stack.add(settings, state.tensors(), epoch=state.epoch, step=state.step)


def take(stack: Stack, settings: TrialSettings) -> TrainState:
    """A member's state, apart from the stack."""
    index = next(k for k, member in enumerate(stack.members) if member.settings == settings)
    state = init_state(settings, SMALL, DEVICE, is_drawn=False)
    stack.store(index, state.tensors())
    state.epoch, state.step = stack.members[index].epoch, stack.members[index].step
    return state


def with_changes(settings: TrialSettings, **changes: Any) -> TrialSettings:
    return TrialSettings(**(settings.to_dict() | changes))


class DoubleNoise:
    """A batch's noise as a stack draws it, in float64."""

    def __init__(self, row_keys: Tensor) -> None:
        self._noise = CounterNoise(row_keys)

    def normal(self, *shape: int) -> Tensor:
        return self._noise.normal(*shape).double()

    def uniform(self, *shape: int) -> Tensor:
        return self._noise.uniform(*shape).double()


def find_gradients(settings: TrialSettings, images: Tensor) -> dict[str, Tensor]:
    """Of the objective of a trial's first step, by autograd in float64 on the CPU. images: (B, C, H, W), the batch."""
    state = init_state(settings, SMALL)
    state.model.double()
    keys = make_row_keys([make_key(settings.seed, "noise", 1)], len(images))[0]
    sharpness = compute_sharpness(settings, torch.zeros(1), 1)[0]
    x = to_pixels(images.flatten(1)).view(images.shape).double()
    terms = state.objective.terms(state.model, x, DoubleNoise(keys), At(sharpness))
    names, parameters = zip(*state.model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(state.objective.loss(terms), parameters), strict=True))


def test_gradients_of_a_step_are_those_of_autograd_in_float64_on_the_cpu() -> None:
    """After one step Adam's first moment is a tenth of the gradient; so for every tensor of every member."""
    stack = make_stack(TRIALS, 8)
    stack.fit_epoch(IMAGES[:8].to(DEVICE))
    for settings in TRIALS:
        order = Member(settings, 0, 0).shuffle(8, 20)
        state = take(stack, settings)
        for name, gradient in find_gradients(settings, IMAGES[:8][order]).items():
            given = 10 * state.moments[f"adam.{name}.exp_avg"].cpu().double()
            assert (given - gradient).norm() <= 1e-4 * gradient.norm(), (settings, name)


def test_a_mixed_padded_stack_trains_each_as_the_cpu_trains_it_alone() -> None:
    stack = make_stack(TRIALS, 8)
    for settings, outcome in zip(TRIALS, stack.fit_epoch(IMAGES.to(DEVICE)), strict=True):
        alone = next(fit(init_state(settings, SMALL), settings, IMAGES))
        assert get_loss(outcome) == pytest.approx(alone.loss, rel=1e-4)
        assert outcome.sharpness == alone.sharpness  # type: ignore[union-attr]


@pytest.mark.parametrize("capacity", [2, 5, 8])
def test_a_trial_has_the_same_bits_alone_in_another_slot_and_beside_others(capacity: int) -> None:
    images, trial = IMAGES.to(DEVICE), TRIALS[2]
    others = [settings for settings in TRIALS if settings is not trial][: capacity - 1]
    stacks = [make_stack(members, capacity) for members in ([trial], [*others, trial], [trial, *others])]
    for stack in stacks:
        for _ in range(2):
            stack.fit_epoch(images)
    alone, *beside = (take(stack, trial).tensors() for stack in stacks)
    for tensors in beside:
        assert_same_tensors(tensors, alone)


def test_members_that_join_leave_and_diverge_change_no_bit_of_another() -> None:
    images, trial = IMAGES.to(DEVICE), TRIALS[2]
    undisturbed, stack = make_stack([trial], 4), make_stack([TRIALS[1], TRIALS[0], trial], 4)
    wild = with_changes(TRIALS[0], learning_rate=1e30)
    for epoch in range(4):
        undisturbed.fit_epoch(images)
        outcomes = stack.fit_epoch(images)
        diverged = [k for k, outcome in enumerate(outcomes) if isinstance(outcome, DivergedError)]
        assert len(diverged) == (epoch == 2)
        for k in diverged:
            assert stack.members[k].settings == wild
            stack.remove(k)
        if epoch == 0:
            stack.remove(0)  # the last one takes its place
        if epoch == 1:
            join(stack, wild)
        if epoch == 2:
            join(stack, TRIALS[3])
    assert_same_tensors(take(stack, trial).tensors(), take(undisturbed, trial).tensors())


def test_after_a_resize_training_goes_on_as_if_there_had_been_none() -> None:
    """On a GPU the graph of steps is recorded anew, and replayed: the tensors are elsewhere."""
    images = IMAGES.to(DEVICE)
    stack, constant = make_stack(TRIALS[:2], 2), make_stack(TRIALS[:2], 2)
    for capacity in (6, 3, 2):
        losses = [[get_loss(outcome) for outcome in each.fit_epoch(images)] for each in (stack, constant)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        stack.resize(capacity)
    assert stack.parameters.rows["count"].tolist() == [3.0 * NUM_STEPS] * 2


def test_resumed_gives_the_same_bits() -> None:
    images, trial = IMAGES.to(DEVICE), TRIALS[3]
    whole, first = make_stack([TRIALS[0], trial], 3), make_stack([TRIALS[0], trial], 3)
    first.fit_epoch(images)
    stored = take(first, trial)
    second = make_stack([TRIALS[1]], 3)
    join(second, trial, stored)
    for _ in range(3):
        whole.fit_epoch(images)
    for _ in range(2):
        second.fit_epoch(images)
    assert_same_tensors(take(second, trial).tensors(), take(whole, trial).tensors())


@pytest.mark.skipif(DEVICE.type != "cuda", reason="nothing is compiled for a CPU")
def test_every_region_of_a_step_is_compiled() -> None:
    """What is not runs all the same, several times slower, so that no other test would fail."""
    make_stack(TRIALS, 8).fit_epoch(IMAGES.to(DEVICE))
    assert len(cuda_graph.OUTCOMES) == NUM_REGIONS
    assert set(cuda_graph.OUTCOMES.values()) == {cuda_graph.COMPILED}


@pytest.mark.parametrize("low", ["tf32", "bf16"])
def test_reduced_precision_is_close(low: Any) -> None:
    if not has_precision(low, DEVICE):
        pytest.skip(f"no {low} here")
    losses = []
    for precision in ("float32", low):
        settings = make_settings("vsc_exp_relu", hidden=(64,), batch_size=8, precision=precision)
        stack = Stack(settings, SMALL, 3, device=DEVICE, is_batched=True)
        join(stack, settings)
        losses.append([get_loss(stack.fit_epoch(IMAGES.to(DEVICE))[0]) for _ in range(2)][-1])
    print(f"loss in float32 {losses[0]:.6g}, in {low} {losses[1]:.6g}")
    assert losses[0] != losses[1] or low == "tf32"  # products as small may be taken in float32 all the same
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_memory_returns_when_a_stack_ends() -> None:
    """At once, without a collection of garbage: nothing holds the stack that it holds itself."""
    images = IMAGES.to(DEVICE)
    make_stack(TRIALS, 8).fit_epoch(images)  # what libraries and compiled kernels keep
    before = torch.cuda.memory_allocated() if DEVICE.type == "cuda" else 0
    stack = make_stack(TRIALS, 8)
    for _ in range(2):
        stack.fit_epoch(images)
    held = [weakref.ref(tensor) for layer in stack.parameters.layers for tensor in layer.tensors.values()]
    del stack
    assert [ref for ref in held if ref() is not None] == []
    if DEVICE.type == "cuda":
        assert torch.cuda.memory_allocated() <= before


@pytest.mark.parametrize("kind", ["vae", "vsc_disarm", "factor_vae"])
def test_steps_of_other_models_are_replayed_and_train_alike(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, where nothing is recorded, replaying is doing it again."""
    if DEVICE.type == "cpu":
        monkeypatch.setattr(Recording, "run", lambda _, work: work())
    settings = make_settings(kind, network="conv", hidden=(400,), batch_size=8)  # as a conv has no other
    shape, losses = (1, 32, 32), []
    images = make_images(43, shape).to(DEVICE)  # five whole batches and a smaller one
    for graphed in ((DEVICE.type,), ()):
        monkeypatch.setattr(autograd_trainer, "GRAPHED", graphed)
        trainer = AutogradTrainer(settings, shape, device=DEVICE)
        trainer.add(settings, init_state(settings, shape, DEVICE).tensors(), epoch=0, step=0)
        losses.append([get_loss(trainer.fit_epoch(images)[0]) for _ in range(3)])
        recorded = [step is not None and step.is_recorded for step in trainer._graphed]
        assert recorded == [bool(graphed) and DEVICE.type == "cuda"]
    assert losses[0] == pytest.approx(losses[1], rel=0 if DEVICE.type == "cpu" else 1e-4)


@pytest.mark.parametrize("kind", ["vae", "vsc_disarm", "factor_vae"])
def test_with_channels_last_training_is_alike_and_resumes_with_the_same_bits(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, so that only the order of sums differs."""
    settings = make_settings(kind, network="conv", hidden=(400,), batch_size=8)
    shape, losses = (3, 32, 32), []
    images = make_images(43, shape).to(DEVICE)
    for layout in (torch.contiguous_format, torch.channels_last):
        monkeypatch.setattr(autograd_trainer, "choose_layout", lambda *_, given=layout: given)
        trainer, again = (AutogradTrainer(settings, shape, device=DEVICE) for _ in range(2))
        trainer.add(settings, init_state(settings, shape, DEVICE).tensors(), epoch=0, step=0)
        losses.append([get_loss(trainer.fit_epoch(images)[0]) for _ in range(2)])
        filters = [tensor for tensor in trainer._states[0].tensors().values() if tensor.ndim == 4]
        assert filters
        assert all(tensor.is_contiguous(memory_format=layout) for tensor in filters)
        stored = init_state(settings, shape, DEVICE, is_drawn=False)
        trainer.store(0, stored.tensors())
        assert all(tensor.is_contiguous() for tensor in stored.tensors().values())  # as checkpoints hold them
        again.add(settings, stored.tensors(), epoch=2, step=trainer.members[0].step)
        assert get_loss(again.fit_epoch(images)[0]) == get_loss(trainer.fit_epoch(images)[0])
        assert_same_tensors(again._states[0].tensors(), trainer._states[0].tensors())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_lie_in_memory_as_their_parameters_do(
    layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card's fused Adam refuses others. autograd makes some: of maps of 16 x 16 the innermost is a single pixel."""
    settings, shape = make_settings("vae", network="conv", hidden=(400,), batch_size=8), (3, 16, 16)
    images, grad, step_adam = make_images(24, shape).to(DEVICE), torch.autograd.grad, autograd_trainer.step_adam
    num_checked = 0

    def give_otherwise(*args: Any) -> list[Tensor]:
        return [g.contiguous(memory_format=torch.channels_last) if g.ndim == 4 else g for g in grad(*args)]

    def check(parameters: tuple[Tensor, ...], gradients: list[Tensor], *rest: Any, **options: Any) -> None:
        nonlocal num_checked
        num_checked += len(gradients)
        assert [g.stride() for g in gradients] == [p.stride() for p in parameters]
        step_adam(parameters, gradients, *rest, **options)

    monkeypatch.setattr(autograd_trainer, "choose_layout", lambda *_: layout)
    monkeypatch.setattr(autograd_trainer, "step_adam", check)
    trainers = [AutogradTrainer(settings, shape, device=DEVICE) for _ in range(2)]
    for trainer, given in zip(trainers, (grad, give_otherwise), strict=True):
        monkeypatch.setattr(torch.autograd, "grad", given)
        trainer.add(settings, init_state(settings, shape, DEVICE).tensors(), epoch=0, step=0)
        get_loss(trainer.fit_epoch(images)[0])
    one, other = (trainer._states[0].tensors() for trainer in trainers)
    assert_same_tensors(one, other)
    assert num_checked > 0
