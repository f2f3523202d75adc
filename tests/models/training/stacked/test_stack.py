"""A stack trains each of its members as it would train alone, whoever the others are."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from models.choices import Estimator
from models.measures.bounds import compute_bound
from models.measures.sparsity import compute_sparsity
from models.numerics.recording import Recording
from models.randomness import make_stream
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.stacked import cuda_graph as cuda
from models.training.stacked import stack as fused
from models.training.stacked.cuda_graph import Plan
from models.training.stacked.stack import Stack
from models.training.state import init_state
from models.training.trainer import DivergedError
from tests.models.cases import (
    DIGITS,
    MIXED,
    SMALL,
    assert_same_tensors,
    copy_tensors,
    get_loss,
    make_images,
    make_settings,
    train,
)
from tests.models.training.stacked.mixed_stacks import make_mixed, make_stack, take


class TestAgainstAlone:
    @pytest.mark.parametrize("is_batched", [False, True])
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"pixel_scaling": "unit_norm", "initialisation": "xavier"},
            {"gamma_link": "sigmoid", "gamma_clamp": 0.0},
            {"gamma_clamp": 0.1},
            {"binarisation": "dynamic", "activation": "tanh"},
        ],
        ids=lambda changes: "-".join(map(str, changes.values())) or "defaults",
    )
    def test_a_mixed_stack_trains_each_as_it_would_alone(
        self, changes: dict[str, Any], is_batched: bool, digits: Tensor, test_digits: Tensor
    ) -> None:
        trials = make_mixed(hidden=(64,), **changes)
        stack = make_stack(trials, DIGITS, is_batched=is_batched, capacity=8)
        outcomes = [stack.fit_epoch(digits) for _ in range(3)]
        for k, settings in enumerate(trials):
            state, alone = train(settings, digits)
            assert get_loss(outcomes[0][k]) == pytest.approx(alone[0].loss, rel=1e-4)
            bounds = [
                sum(compute_bound(s.model, test_digits, make_stream(0, "test"), num_samples=5))
                for s in (state, take(stack, k, DIGITS))
            ]
            assert float(bounds[1]) == pytest.approx(float(bounds[0]), rel=2e-3)
            assert [outcome[k].sharpness for outcome in outcomes] == [epoch.sharpness for epoch in alone]  # type: ignore[union-attr]

    def test_two_hidden_layers_and_the_other_link(self, digits: Tensor) -> None:
        trials = make_mixed(hidden=(32, 16), gamma_link="sigmoid")
        outcomes = make_stack(trials, DIGITS).fit_epoch(digits)
        for settings, outcome in zip(trials, outcomes, strict=True):
            assert get_loss(outcome) == pytest.approx(train(settings, digits)[1][0].loss, rel=1e-4)

    def test_even_a_chaotic_trial_starts_as_it_would_alone(self, digits: Tensor) -> None:
        """With two latents and a ramp, rounding grows a thousandfold an epoch: two epochs later they are 0.5% apart."""
        (settings,) = (
            TrialSettings(**(s.to_dict() | {"latent_dim": 2}))
            for s in make_mixed(hidden=(64,))
            if s.sharpness_schedule == "ramp"
        )
        stack = make_stack([settings], DIGITS, latent_dim=6)
        assert get_loss(stack.fit_epoch(digits)[0]) == pytest.approx(train(settings, digits)[1][0].loss, rel=1e-4)

    def test_its_initial_state_goes_in_and_comes_out_unchanged(self) -> None:
        trials = make_mixed()
        stack = make_stack(trials, SMALL, latent_dim=9)
        for k, settings in enumerate(trials):
            assert_same_tensors(take(stack, k, SMALL).tensors(), init_state(settings, SMALL).tensors())

    def test_a_member_can_go_on_alone_and_come_back(self) -> None:
        images, (settings, *_) = make_images(70, SMALL), make_mixed(epochs=4)
        stack = make_stack([settings], SMALL)
        stack.fit_epoch(images)
        state = take(stack, 0, SMALL)
        next(fit(state, settings, images))
        back = Stack(settings, SMALL, settings.latent_dim)
        back.add(settings, state.tensors(), epoch=state.epoch, step=state.step)
        for _ in range(2):
            back.fit_epoch(images)
        assert_same_tensors(take(back, 0, SMALL).tensors(), train(settings, images)[0].tensors())


class TestNeighbours:
    """The same bits whatever the neighbours and the place, in stacks of one width."""

    @pytest.mark.parametrize("index", range(len(MIXED)))
    def test_neither_neighbours_nor_place_change_a_member(self, index: int) -> None:
        images, trials = make_images(70, SMALL), make_mixed()
        everyone = make_stack(trials, SMALL)
        turned = make_stack([*trials[index:], *trials[:index]], SMALL)
        spiked = next(s for s in trials if s.model == "vsc" and s is not trials[index])
        pair = make_stack([spiked, trials[index]], SMALL, latent_dim=6, capacity=5)
        for stack in (everyone, turned, pair):
            for _ in range(2):
                stack.fit_epoch(images)
        expected = take(everyone, index, SMALL).tensors()
        assert_same_tensors(take(turned, 0, SMALL).tensors(), expected)
        assert_same_tensors(take(pair, 1, SMALL).tensors(), expected)

    def test_others_join_and_leave_without_being_noticed(self) -> None:
        images, trials = make_images(70, SMALL), make_mixed(epochs=9)
        undisturbed = make_stack(trials[2:4], SMALL, latent_dim=6)
        stack = make_stack(trials[:3], SMALL, capacity=4)
        for epoch in range(4):
            undisturbed.fit_epoch(images)
            stack.fit_epoch(images)
            if epoch == 0:
                stack.remove(0)  # the last one takes its place
            if epoch == 1:
                stack.add(trials[5], init_state(trials[5], SMALL).tensors(), epoch=0, step=0)
        index = next(k for k, member in enumerate(stack.members) if member.settings == trials[2])
        assert index == 0
        assert_same_tensors(take(stack, index, SMALL).tensors(), take(undisturbed, 0, SMALL).tensors())

    def test_a_member_that_diverges_harms_no_other(self) -> None:
        images, trials = make_images(70, SMALL), make_mixed(epochs=2)
        wild = TrialSettings(**(trials[2].to_dict() | {"learning_rate": 1e30}))
        stack = make_stack([trials[0], wild, trials[1]], SMALL)
        calm = make_stack([trials[0], trials[1]], SMALL)
        first, error, third = stack.fit_epoch(images)
        assert isinstance(error, DivergedError)
        assert (error.epoch, error.step) == (1, 2)
        assert [get_loss(first), get_loss(third)] == [get_loss(one) for one in calm.fit_epoch(images)]
        stack.remove(1)
        assert [get_loss(o) for o in stack.fit_epoch(images)] == [get_loss(o) for o in calm.fit_epoch(images)]

    @pytest.mark.parametrize("is_batched", [False, True])
    def test_a_vae_does_not_see_that_vscs_without_a_clamp_diverge(self, is_batched: bool) -> None:
        """Its own third head, which is none, is all zeros: a gamma of exactly 1."""
        images, trials = make_images(70, SMALL), make_mixed(gamma_clamp=0.0)
        stack = make_stack(trials, SMALL, is_batched=is_batched)
        for epoch in range(2):
            for settings, outcome in zip(trials, stack.fit_epoch(images), strict=True):
                assert isinstance(outcome, DivergedError) == (settings.model == "vsc")
                if settings.model == "vae":
                    alone = train(settings, images)[1][epoch]
                    assert get_loss(outcome) == pytest.approx(alone.loss, rel=1e-4)

    def test_a_place_left_by_one_who_diverged_is_as_good_as_new(self) -> None:
        images, trials = make_images(70, SMALL), make_mixed()
        wild = TrialSettings(**(trials[0].to_dict() | {"learning_rate": 1e30}))
        stack = make_stack([wild], SMALL)
        stack.fit_epoch(images)
        stack.remove(0)
        stack.add(trials[2], init_state(trials[2], SMALL).tensors(), epoch=0, step=0)
        stack.fit_epoch(images)
        fresh = make_stack([trials[2]], SMALL, latent_dim=6)
        fresh.fit_epoch(images)
        assert_same_tensors(take(stack, 0, SMALL).tensors(), take(fresh, 0, SMALL).tensors())


class TestPadding:
    def test_what_pads_stays_zero_through_training(self) -> None:
        trials = make_mixed()
        stack = make_stack(trials, SMALL, latent_dim=9)
        for _ in range(2):
            stack.fit_epoch(make_images(70, SMALL))
        for k, settings in enumerate(trials):
            owned = sum(t.count_nonzero().item() for t in take(stack, k, SMALL).tensors().values())
            layers = stack.parameters.layers
            held = sum(t[k].count_nonzero().item() for layer in layers for t in layer.tensors.values())
            assert held == owned, settings

    def test_sparsity_of_a_member_is_that_of_its_own_latents(self, digits: Tensor) -> None:
        stack = make_stack(make_mixed(hidden=(64,)), DIGITS, latent_dim=40)
        stack.fit_epoch(digits)
        state = take(stack, 1, DIGITS)
        assert state.model.latent_dim == 3
        sparsity = compute_sparsity(state.model, digits, make_stream(0, "code"))
        assert sparsity["slab_prob"] == sparsity["nonzero_fraction"] == 1.0
        assert sparsity["active_units"] <= 3


class TestGraph:
    """What a GPU's graph leaves of an epoch, on a graph that is not one but trains as it does."""

    @pytest.mark.parametrize("graph_steps", [1, 2, 3, 25])
    @pytest.mark.parametrize("num_images", [96, 170, 20])  # three whole batches; five and a smaller one; a smaller one
    def test_an_epoch_is_the_same_however_many_steps_fill_graphs(
        self, graph_steps: int, num_images: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only the smaller batch that ends it is trained outside of them, which launches its kernels one by one."""
        images, trials = make_images(num_images, SMALL), make_mixed()
        expected = make_stack(trials, SMALL, is_batched=True)
        stack = make_stack(trials, SMALL, is_batched=True, capacity=8)
        step, num_outside, recordings = stack._step, 0, []

        def run(recording: Recording, work: Callable[[], None]) -> None:
            nonlocal num_outside
            recordings.append(recording)
            before = num_outside
            work()
            num_outside = before

        def count(*args: Any) -> Tensor:
            nonlocal num_outside
            num_outside += 1
            return step(*args)

        monkeypatch.setattr(stack, "_step", count)
        for _ in range(2):
            outcomes = expected.fit_epoch(images)
            with monkeypatch.context() as patch:
                patch.setattr(cuda, "GRAPH_STEPS", graph_steps)
                patch.setattr(Recording, "run", run)
                patch.setattr(Plan, "to", lambda plan, _: plan)
                patch.setattr(torch, "empty", partial(_empty_on_cpu, torch.empty))
                stack.device = torch.device("cuda")  # for the branch alone: the tensors stay where they are
                given = stack.fit_epoch(images)
            assert [get_loss(o) for o in given] == pytest.approx([get_loss(o) for o in outcomes], rel=1e-5)
        num_steps = -(-num_images // 32)
        assert num_outside == 2 * (num_images % 32 > 0)
        assert len(set(recordings)) <= 2  # so that each is replayed in the next epoch
        assert stack.parameters.rows["count"][: len(trials)].tolist() == [2.0 * num_steps] * len(trials)


def _empty_on_cpu(empty: Any, *shape: Any, **_: Any) -> Tensor:
    return empty(*shape)


@pytest.mark.skipif(not fused.has_precision("bf16", torch.device("cpu")), reason="this processor has no bf16")
def test_reduced_precision_is_close_and_not_the_same(digits: Tensor) -> None:
    full, low = (make_settings("vsc_exp_relu", hidden=(64,), epochs=3, precision=p) for p in ("float32", "bf16"))
    expected, given = (train(settings, digits)[1][-1].loss for settings in (full, low))
    assert given != expected
    assert given == pytest.approx(expected, rel=0.02)


def test_an_estimator_whose_gradients_are_not_written_out_is_no_work_for_a_stack() -> None:
    settings = make_settings("vsc_sigmoid")
    assert all(Stack.can_train(replace(settings, estimator=name)) for name in get_args(Estimator))
    object.__setattr__(settings, "estimator", "newest")
    assert not Stack.can_train(settings)


def test_a_state_is_not_shared_with_the_stack() -> None:
    settings = make_mixed()[0]
    state = init_state(settings, SMALL)
    before = copy.deepcopy(copy_tensors(state))
    stack = Stack(settings, SMALL, 6)
    stack.add(settings, state.tensors(), epoch=0, step=0)
    stack.fit_epoch(make_images(70, SMALL))
    assert_same_tensors(state.tensors(), before)
