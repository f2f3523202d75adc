"""fit(): the right objective, and the same bits however it is interrupted."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.measures.bounds import compute_bound, compute_iw_bound
from models.measures.sparsity import compute_sparsity
from models.numerics.computing import computing
from models.pixels import to_pixels
from models.randomness import draw_noise, make_key, make_offsets, make_row_keys, make_stream
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.reproduction_stream import ReproductionStream
from models.training.stacked import stack as fused
from models.training.stacked.stack import Stack
from models.training.state import init_state
from models.training.trainer import EpochMetrics
from tests.models.cases import (
    DIGITS,
    KINDS,
    SMALL,
    assert_same_tensors,
    copy_tensors,
    make_images,
    make_settings,
    train,
)

NUM_PIXELS, NUM_IMAGES = prod(SMALL), 70  # three batches of 32, the last one of 6
SCHEDULES = ["per_step", "per_epoch", "ramp"]


def without_seconds(epochs: list[EpochMetrics]) -> list[EpochMetrics]:
    return [dataclasses.replace(epoch, seconds=0.0) for epoch in epochs]


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def images() -> Tensor:
    return make_images(NUM_IMAGES, SMALL)


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest) -> TrialSettings:
    return make_settings(request.param, epochs=4, learning_rate=0.01)


class TestEpochs:
    def test_it_yields_once_per_epoch(self, settings: TrialSettings, images: Tensor) -> None:
        state = init_state(settings, SMALL)
        seen = []
        for metrics in fit(state, settings, images):
            seen.append(metrics.epoch)
            assert state.epoch == metrics.epoch
            assert state.step == 3 * metrics.epoch
            assert metrics.seconds > 0
            assert (metrics.sharpness is None) == (settings.model == "vae")
        assert seen == [1, 2, 3, 4]

    def test_a_finished_state_trains_no_further(self, settings: TrialSettings, images: Tensor) -> None:
        state, _ = train(settings, images)
        before = copy_tensors(state)
        assert list(fit(state, settings, images)) == []
        assert_same_tensors(state.tensors(), before)

    def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(
        self, images: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = make_settings("vae", epochs=2)
        numbered = torch.arange(NUM_IMAGES, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, *SMALL).contiguous()
        seen: list[int] = []
        compare_pixels = fused.compare_pixels

        def watch(logits: Tensor, x: Tensor, *, is_pair: bool) -> object:
            seen.extend((x[0, :, 0] * 255).round().int().tolist())
            return compare_pixels(logits, x, is_pair=is_pair)

        monkeypatch.setattr(fused, "compare_pixels", watch)
        train(settings, numbered)
        first, second = seen[:NUM_IMAGES], seen[NUM_IMAGES:]
        assert sorted(first) == sorted(second) == list(range(NUM_IMAGES))
        assert len({tuple(first), tuple(second), tuple(range(NUM_IMAGES))}) == 3

    @pytest.mark.parametrize("kind", KINDS)
    def test_loss_goes_down_on_real_digits(self, kind: str, digits: Tensor) -> None:
        settings = make_settings(kind, latent_dim=8, hidden=(64,), learning_rate=3e-3, epochs=12)
        losses = [epoch.loss for epoch in train(settings, digits)[1]]
        assert losses[:4] == sorted(losses[:4], reverse=True)
        mean = to_pixels(digits.flatten(1)).double().mean(0)
        # What a constant image gets at best: to do better, the codes have to tell of the digits.
        best_without_codes = -(mean.xlogy(mean) + (1 - mean).xlogy(1 - mean)).sum().item()
        assert losses[-1] < best_without_codes


class TestSameBits:
    @pytest.mark.parametrize("stop", [1, 2, 3])
    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_stopped_and_resumed_equals_uninterrupted(self, stop: int, schedule: str, images: Tensor) -> None:
        settings = make_settings("vsc_exp_relu", epochs=4, learning_rate=0.01, sharpness_schedule=schedule)
        expected_state, expected = train(settings, images)

        stopped = init_state(settings, SMALL)
        epochs = fit(stopped, settings, images)
        before = [next(epochs) for _ in range(stop)]
        stored, epoch, step = copy_tensors(stopped), stopped.epoch, stopped.step

        resumed = init_state(settings, SMALL)
        resumed.load(stored, epoch=epoch, step=step)
        after = list(fit(resumed, settings, images))
        assert without_seconds(before + after) == without_seconds(expected)
        assert_same_tensors(resumed.tensors(), expected_state.tensors())
        assert (resumed.epoch, resumed.step) == (expected_state.epoch, expected_state.step)

    @pytest.mark.parametrize("schedule", ["per_step", "per_epoch"])
    def test_a_longer_run_contains_the_shorter_one(self, schedule: str, images: Tensor) -> None:
        """So that settings that differ in epochs alone can share one training, unless the schedule is a ramp."""
        short, long = (make_settings("vsc_sigmoid", epochs=n, sharpness_schedule=schedule) for n in (2, 4))
        assert without_seconds(train(short, images)[1]) == without_seconds(train(long, images)[1][:2])

    def test_the_number_of_threads_changes_nothing_and_is_put_back(self, digits: Tensor) -> None:
        settings = make_settings("vsc_exp_relu", hidden=(400,), batch_size=500, epochs=1)
        results = []
        for count in (1, 2):
            with num_threads(count):
                state = init_state(settings, DIGITS)
                metrics = []
                for epoch in fit(state, settings, digits):
                    metrics.append(epoch)
                    assert torch.get_num_threads() == count, "between epochs the caller has its threads back"
                assert torch.get_num_threads() == count
            results.append((without_seconds(metrics), state.tensors()))
        (one, one_state), (two, two_state) = results
        assert one == two
        assert_same_tensors(one_state, two_state)

    def test_an_epoch_runs_on_one_thread(self, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = make_settings("vae", epochs=1)
        seen, compare_pixels = [], fused.compare_pixels

        def watch(*args: Tensor, is_pair: bool) -> object:
            seen.append(torch.get_num_threads())
            return compare_pixels(*args, is_pair=is_pair)

        monkeypatch.setattr(fused, "compare_pixels", watch)
        with num_threads(2):
            train(settings, images)
        assert set(seen) == {1}

    def test_the_number_of_threads_is_put_back_after_an_error(self) -> None:
        def fail() -> None:
            with computing():
                assert torch.get_num_threads() == 1
                raise RuntimeError

        with num_threads(2):
            with pytest.raises(RuntimeError):
                fail()
            assert torch.get_num_threads() == 2

    def test_the_global_generator_changes_nothing(self, settings: TrialSettings, images: Tensor) -> None:
        results = []
        for seed in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                results.append(train(settings, images))
        (one_state, one), (two_state, two) = results
        assert without_seconds(one) == without_seconds(two)
        assert_same_tensors(one_state.tensors(), two_state.tensors())

    def test_evaluations_between_epochs_change_nothing(self, settings: TrialSettings, images: Tensor) -> None:
        expected_state, expected = train(settings, images)
        state, metrics = init_state(settings, SMALL), []
        for epoch in fit(state, settings, images):
            metrics.append(epoch)
            noise = make_stream(settings.seed, "evaluate", epoch.epoch)
            compute_bound(state.model, images, noise)
            compute_bound(state.model, images, noise, sharpness=200.0)
            compute_iw_bound(state.model, images, noise, num_samples=3)
            compute_sparsity(state.model, images, noise)
        assert without_seconds(metrics) == without_seconds(expected)
        assert_same_tensors(state.tensors(), expected_state.tensors())

    def test_another_seed_is_another_trial(self, settings: TrialSettings, images: Tensor) -> None:
        other = TrialSettings(**(settings.to_dict() | {"seed": 1}))
        assert train(settings, images)[1][0].loss != train(other, images)[1][0].loss


def train_plainly(settings: TrialSettings, images: Tensor) -> tuple[list[dict[str, float]], list[Tensor]]:
    """The same training written out once more from the formulas, in float64: metrics per epoch, and the parameters.

    Shares with the code under test only the first parameters and the streams of order and noise.
    """
    parameters = [p.detach().double().requires_grad_() for p in build_model(settings, SMALL).parameters()]
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    num_layers, latent_dim = len(settings.hidden) + 1, settings.latent_dim

    def apply(layers: list[Tensor], y: Tensor) -> Tensor:
        for i in range(0, len(layers), 2):
            y = y @ layers[i].T + layers[i + 1]
            if i + 2 < len(layers):
                y = y.clamp(min=0) if settings.activation == "relu" else y.tanh()
        return y

    history, step = [], 0
    for epoch in range(settings.epochs):
        row_keys = make_row_keys([make_key(settings.seed, "noise", epoch + 1)], len(images))[0]
        shuffled = torch.randperm(len(images), generator=make_stream(settings.seed, "order", epoch + 1))
        reported = ReproductionStream(settings, NUM_PIXELS, len(images), epoch=epoch)
        order = (reported.shuffle() if settings.randomness == "report" else shuffled).tolist()
        once_or_anew = {"static": 0, "dynamic": epoch + 1}.get(settings.binarisation)
        sums = {"loss": 0.0, "rate": 0.0, "distortion": 0.0}
        for start in range(0, len(images), settings.batch_size):
            x = images[order[start : start + settings.batch_size]].flatten(1).double()
            x = x / (255 if settings.pixel_scaling == "minmax" else x.square().sum(1, keepdim=True).sqrt())
            if once_or_anew is not None:
                key = make_key(settings.seed, "binarisation", once_or_anew)
                image_keys = make_row_keys([key], len(images))[0][order[start : start + settings.batch_size]]
                x = (draw_noise(image_keys[..., None] + make_offsets(NUM_PIXELS))[1].double() < x).double()
            counted = draw_noise(row_keys[start : start + len(x)][..., None] + make_offsets(latent_dim))
            noise = reported.draw_noise(len(x)) if settings.randomness == "report" else counted
            eps, eta = (n.double() for n in noise)
            outputs = apply(parameters[: 2 * num_layers], x)
            mu, log_var = outputs[:, :latent_dim], outputs[:, latent_dim : 2 * latent_dim]
            z = mu + (log_var / 2).exp() * eps
            kl = (mu**2 + log_var.exp() - 1 - log_var) / 2
            if settings.model == "vsc":
                alpha, v, clamp = settings.alpha, outputs[:, 2 * latent_dim :], settings.gamma_clamp
                assert alpha is not None
                assert clamp is not None
                gamma = (-(-v).clamp(min=0)).exp() if settings.gamma_link == "exp_relu" else 1 / (1 + (-v).exp())
                c = {
                    "per_step": 50 + 0.001 * step,
                    "per_epoch": 50 + 0.001 * epoch,
                    "ramp": 50 + 150 * step / (settings.epochs * math.ceil(len(images) / settings.batch_size) - 1),
                }[settings.sharpness_schedule]
                z = torch.sigmoid(c * (eta - 1 + gamma)) * z
                g = gamma.clamp(clamp, 1 - clamp)
                kl = g * kl + g * (g / alpha).log() + (1 - g) * ((1 - g) / (1 - alpha)).log()
            p = torch.sigmoid(apply(parameters[2 * num_layers :], z))
            rate, distortion = kl.sum(1), -(x * p.log() + (1 - x) * (1 - p).log()).sum(1)
            objective = settings.beta * rate + distortion
            gradients = torch.autograd.grad(objective.sum(), parameters)  # summed, as in the report
            step += 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                    m.lerp_(g, 0.1)
                    v.lerp_(g**2, 0.001)
                    unbiased, scale = m / (1 - 0.9**step), (v / (1 - 0.999**step)).sqrt()
                    p.sub_(settings.learning_rate * unbiased / (scale + 1e-8))
            for name, term in (("loss", objective), ("rate", rate), ("distortion", distortion)):
                sums[name] += term.sum().item()
        history.append({name: total / len(images) for name, total in sums.items()})
    return history, [p.detach() for p in parameters]


class TestObjective:
    @pytest.mark.parametrize("beta", [1.0, 4.0])
    @pytest.mark.parametrize(
        ("kind", "schedule"),
        [("vae", None), ("vsc_sigmoid", "per_epoch"), *(("vsc_exp_relu", schedule) for schedule in SCHEDULES)],
    )
    def test_metrics_and_parameters_are_those_of_a_plain_loop(
        self, kind: str, schedule: str | None, beta: float, images: Tensor
    ) -> None:
        settings = make_settings(
            kind, beta=beta, hidden=(16, 8), epochs=3, learning_rate=0.01, sharpness_schedule=schedule, seed=3
        )
        state, epochs = train(settings, images)
        history, parameters = train_plainly(settings, images)
        for epoch, plain in zip(epochs, history, strict=True):
            assert {name: getattr(epoch, name) for name in plain} == pytest.approx(plain, rel=2e-6)
        for ours, plainly in zip(state.model.parameters(), parameters, strict=True):
            torch.testing.assert_close(ours.detach().double(), plainly, rtol=0, atol=3e-6)

    @pytest.mark.parametrize(
        "changes",
        [
            {"pixel_scaling": "unit_norm"},
            {"initialisation": "xavier"},
            {"gamma_clamp": 0.0},
            {"randomness": "report"},
            {"binarisation": "static"},
            {"binarisation": "dynamic"},
            {"activation": "tanh"},
            {"gamma_clamp": 0.2, "gamma_link": "exp_relu", "pixel_scaling": "unit_norm", "initialisation": "xavier"},
        ],
    )
    def test_so_they_are_with_other_pixels_other_weights_another_clamp_and_the_reports_numbers(
        self, changes: dict[str, Any], images: Tensor
    ) -> None:
        plain, settings = (make_settings("vsc_sigmoid", learning_rate=0.01, seed=3, **c) for c in ({}, changes))
        state, epochs = train(settings, images)
        history, parameters = train_plainly(settings, images)
        for epoch, expected in zip(epochs, history, strict=True):
            assert {name: getattr(epoch, name) for name in expected} == pytest.approx(expected, rel=2e-6, abs=1e-7)
        for ours, plainly in zip(state.model.parameters(), parameters, strict=True):
            torch.testing.assert_close(ours.detach().double(), plainly, rtol=0, atol=2e-5)
        if settings.gamma_clamp != 0:  # by as little as 1e-6 it changes nothing here
            assert epochs[0].rate != pytest.approx(train(plain, images)[1][0].rate, rel=1e-3)

    def test_a_partial_batch_counts_by_its_images(self, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        means, step = [], Stack._step

        def watch(stack: Stack, *args: Any) -> Tensor:
            done = step(stack, *args)
            means.append((args[2].shape[1], *done[0].tolist()))
            return done

        monkeypatch.setattr(Stack, "_step", watch)
        (epoch,) = train(make_settings("vae", epochs=1), images)[1]
        assert [count for count, _, _ in means] == [32, 32, 6]
        assert epoch.rate == pytest.approx(sum(n * rate for n, rate, _ in means) / 70, rel=1e-6)
        assert epoch.distortion == pytest.approx(sum(n * distortion for n, _, distortion in means) / 70, rel=1e-6)
        assert epoch.loss == pytest.approx(epoch.rate + epoch.distortion)

    def test_a_batch_larger_than_the_images_is_all_of_them(self, images: Tensor) -> None:
        state, epochs = train(make_settings("vsc_sigmoid", batch_size=1000, epochs=2), images)
        assert state.step == 2
        assert len(epochs) == 2

    def test_a_larger_beta_lowers_the_rate(self, digits: Tensor) -> None:
        rates = [
            train(make_settings("vsc_sigmoid", hidden=(32,), beta=beta, learning_rate=3e-3), digits)[1][-1].rate
            for beta in (0.1, 1.0, 10.0)
        ]
        assert rates == sorted(rates, reverse=True)
        assert rates[0] > 2 * rates[-1]
