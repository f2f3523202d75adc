"""Bounds against each other and against the exact likelihood, and reconstruction errors."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.autoencoder import Autoencoder
from models.build import build_model
from models.measures import bounds as evaluation
from models.measures.bounds import (
    compute_bound,
    compute_iw_bound,
    compute_reconstruction_error,
)
from models.measures.sparsity import compute_sparsity
from models.pixels import to_pixels
from models.training.state import TrainState
from tests.models.cases import (
    DIGITS,
    KINDS,
    SMALL,
    assert_same_tensors,
    at,
    make_generator,
    make_images,
    make_noise,
    make_settings,
    shape_of,
)

MEASURED_APART = ("vae", "vsc_exp_relu", "vsc_sigmoid")
"""Kinds whose posteriors differ, and so their bounds."""

EVALUATIONS: dict[str, Callable[[Autoencoder, Tensor], object]] = {
    "bound": lambda model, images: compute_bound(model, images, make_generator(0)),
    "relaxed": lambda model, images: compute_bound(model, images, make_generator(0), sharpness=200.0),
    "iw_bound": lambda model, images: compute_iw_bound(model, images, make_generator(0), num_samples=3),
    "sparsity": lambda model, images: compute_sparsity(model, images, make_generator(0)),
    "reconstruction": compute_reconstruction_error,
}


def compute_elbo(model: Autoencoder, images: Tensor, seed: int = 0, **kwargs: float | None) -> float:
    rate, distortion, _ = compute_bound(model, images, make_generator(seed), **kwargs)
    return -float(rate + distortion)


def estimate(measure: Callable[[int], float], repeats: int) -> tuple[float, float]:
    """Mean over seeds, and its standard error."""
    values = torch.tensor([measure(seed) for seed in range(repeats)], dtype=torch.float64)
    return float(values.mean()), float(values.std()) / math.sqrt(repeats)


def compute_log_likelihood(model: Autoencoder, images: Tensor, alpha: float) -> Tensor:  # -> (N,)
    """Exact log p(x) under the prior alpha N(0, 1) + (1 - alpha) delta per latent, by the trapezoidal rule.

    Every set of latents that are not zero has its own integral: a point, a line or a plane. alpha 1 leaves the plane.
    """
    x = to_pixels(images).flatten(1).double()
    decoder = build_model(make_settings("vae", latent_dim=model.latent_dim), shape_of(images)).decoder.double()
    decoder.load_state_dict(model.decoder.state_dict())
    step = 0.03
    axis = torch.arange(-7, 7, step, dtype=torch.float64)
    terms = []
    for pattern in itertools.product([False, True], repeat=model.latent_dim):
        count = sum(pattern)
        if (alpha == 1 and not all(pattern)) or not 0 < alpha <= 1:
            continue
        free = torch.cartesian_prod(*[axis] * count).reshape(-1, count) if count else torch.zeros(1, 0).double()
        z = torch.zeros(len(free), model.latent_dim, dtype=torch.float64)
        z[:, list(pattern)] = free
        log_prior = -0.5 * free.square().sum(1) - 0.5 * count * math.log(2 * math.pi) + count * math.log(step)
        if alpha < 1:
            log_prior += count * math.log(alpha) + (model.latent_dim - count) * math.log(1 - alpha)
        with torch.no_grad():
            logits = decoder(z).flatten(1)
        log_likelihood = logits @ x.T - softplus(logits).sum(1, keepdim=True)  # (points, N)
        terms.append((log_likelihood + log_prior[:, None]).logsumexp(0))
    return torch.stack(terms).logsumexp(0)


class TestBound:
    def test_it_is_the_mean_over_all_images(self, trained: TrainState, test_digits: Tensor) -> None:
        images = test_digits[:30]
        bound = compute_bound(trained.model, images, make_generator(3))
        elbo = trained.model.compute_elbo(to_pixels(images), make_noise(3))
        assert float(bound.rate) == pytest.approx(elbo.rate.mean().item(), rel=1e-6)
        assert float(bound.distortion) == pytest.approx(elbo.distortion.mean().item(), rel=1e-6)

    def test_models_of_any_clamp_are_measured_alike(self, test_digits: Tensor) -> None:
        """Whatever training clamped, the bound is one; without a clamp at all it is finite where gamma is exactly 1."""
        ways: list[dict[str, Any]] = [
            {"gamma_clamp": 0},
            {"gamma_clamp": 1e-6},
            {"gamma_clamp": 0.3},
            {"kl_from": "logits"},
        ]
        models = [build_model(make_settings("vsc_exp_relu", **way), DIGITS) for way in ways]
        bounds = [compute_bound(model, test_digits, make_generator(0)) for model in models]
        assert math.isfinite(bounds[0].rate)
        assert all(bound == bounds[0] for bound in bounds)
        with torch.no_grad():
            x = to_pixels(test_digits)
            rates = [m.compute_elbo(x, make_noise(0), at(50.0)).rate.mean() for m in models]
        assert rates[0].isnan()
        assert float(rates[1]) == pytest.approx(float(bounds[0].rate), rel=2e-5)  # a clamp costs its logarithms
        assert float(rates[3]) == pytest.approx(float(bounds[0].rate), rel=1e-6)
        assert float(rates[2]) != pytest.approx(float(bounds[1].rate), rel=1e-2)

    def test_more_passes_average_fresh_noise(self, trained: TrainState, test_digits: Tensor) -> None:
        generator = make_generator(3)
        singles = [compute_bound(trained.model, test_digits, generator) for _ in range(4)]
        together = compute_bound(trained.model, test_digits, make_generator(3), num_samples=4)
        distortions = [float(bound.distortion) for bound in singles]
        assert len(set(distortions)) == 4
        assert float(together.distortion) == pytest.approx(sum(distortions) / 4, rel=1e-9)
        assert float(together.rate) == pytest.approx(float(singles[0].rate), rel=1e-9)

    def test_the_relaxed_bound_tends_to_the_true_one_as_sharpness_grows(
        self, trained_vsc: TrainState, test_digits: Tensor
    ) -> None:
        true = compute_elbo(trained_vsc.model, test_digits)
        gaps = [
            abs(compute_elbo(trained_vsc.model, test_digits, sharpness=sharpness) - true)
            for sharpness in (3.0, 50.0, 1e4, 1e7)
        ]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[0] > 0.1
        assert gaps[-1] < 1e-4

    def test_without_a_spike_relaxed_and_true_bound_are_one(self, test_digits: Tensor) -> None:
        model = build_model(make_settings("vae"), DIGITS)
        assert compute_elbo(model, test_digits, sharpness=50.0) == compute_elbo(model, test_digits)

    def test_sharpness_does_not_change_the_rate(self, trained_vsc: TrainState, test_digits: Tensor) -> None:
        rates = {
            float(compute_bound(trained_vsc.model, test_digits, make_generator(0), sharpness=sharpness).rate)
            for sharpness in (None, 50.0, 200.0)
        }
        assert len(rates) == 1

    @pytest.mark.parametrize("size", [1, 7, 296, 297, 1000])
    def test_batches_of_any_size_give_the_same_rate_and_all_images_once(
        self, size: int, trained: TrainState, test_digits: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = compute_bound(trained.model, test_digits, make_generator(0), num_samples=5)
        monkeypatch.setattr(evaluation, "BATCH_SIZE", size)
        bound = compute_bound(trained.model, test_digits, make_generator(0), num_samples=5)
        assert float(bound.rate) == pytest.approx(float(expected.rate), rel=1e-5)
        assert float(bound.distortion) == pytest.approx(float(expected.distortion), rel=0.01)

    def test_the_expected_share_of_non_zero_entries_is_that_of_hard_samples(
        self, trained: TrainState, test_digits: Tensor
    ) -> None:
        expected = float(compute_bound(trained.model, test_digits, make_generator(0)).nonzero_fraction)
        drawn = [
            compute_sparsity(trained.model, test_digits, make_generator(seed))["nonzero_fraction"] for seed in range(20)
        ]
        assert expected == pytest.approx(sum(drawn) / 20, rel=0.02)


class TestImportanceWeightedBound:
    def test_with_one_sample_it_is_the_elbo_in_expectation(self, trained: TrainState, test_digits: Tensor) -> None:
        model = trained.model
        iw, iw_error = estimate(lambda s: compute_iw_bound(model, test_digits, make_generator(s), num_samples=1), 40)
        elbo, elbo_error = estimate(lambda s: compute_elbo(model, test_digits, 100 + s), 40)
        error = math.hypot(iw_error, elbo_error)
        assert error < 0.05
        assert abs(iw - elbo) < 4 * error

    def test_it_is_at_least_the_elbo_and_grows_with_the_samples(self, trained: TrainState, test_digits: Tensor) -> None:
        model = trained.model
        bounds = [estimate(lambda seed: compute_elbo(model, test_digits, 100 + seed, num_samples=5), 10)]
        bounds.extend(
            estimate(lambda seed, k=k: compute_iw_bound(model, test_digits, make_generator(seed), num_samples=k), 10)
            for k in (1, 3, 10, 40)
        )
        for (lower, lower_error), (upper, upper_error) in itertools.pairwise(bounds):
            assert upper > lower - 5 * math.hypot(lower_error, upper_error)

    @pytest.mark.parametrize("latent_dim", [1, 2])
    @pytest.mark.parametrize("kind", MEASURED_APART)
    def test_it_approaches_the_exact_likelihood_and_the_elbo_stays_below(
        self, kind: str, latent_dim: int, digits: Tensor
    ) -> None:
        settings = make_settings(kind, latent_dim=latent_dim)
        model = build_model(settings, DIGITS)
        with torch.no_grad():
            model.decoder.layers[-1].weight *= 6  # a code tells much of the image
            model.encoder.layers[-1].bias[2 * latent_dim :] = -0.5  # gamma near a half: spike and slab both matter
        images = digits[:12]
        exact = float(compute_log_likelihood(model, images, settings.alpha or 1.0).mean())
        elbo, elbo_error = estimate(lambda seed: compute_elbo(model, images, seed, num_samples=50), 4)
        iw, error = estimate(lambda s: compute_iw_bound(model, images, make_generator(s), num_samples=10_000), 4)
        assert error < 0.01
        assert abs(iw - exact) < 0.02
        assert elbo < exact - 0.5 - 4 * elbo_error

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in MEASURED_APART])
    def test_how_a_model_is_trained_changes_no_bit_of_its_bounds(self, kind: str, digits: Tensor) -> None:
        """So those above stand for all: the others differ from them in what training alone reads."""
        plain = "vsc_sigmoid" if KINDS[kind].get("gamma_link") == "sigmoid" else "vsc_exp_relu"
        models = [build_model(make_settings(name), DIGITS) for name in (kind, plain)]
        assert_same_tensors(models[0].state_dict(), models[1].state_dict())
        elbos = [compute_bound(model, digits[:12], make_generator(0), num_samples=50) for model in models]
        bounds = [compute_iw_bound(model, digits[:12], make_generator(0), num_samples=100) for model in models]
        assert elbos[0] == elbos[1]
        assert bounds[0] == bounds[1]

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_batches_of_any_size_give_the_same_up_to_noise(
        self, size: int, trained: TrainState, test_digits: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = test_digits[:100]
        expected = compute_iw_bound(trained.model, images, make_generator(0), num_samples=50)
        monkeypatch.setattr(evaluation, "IW_BATCH_SIZE", size)
        assert compute_iw_bound(trained.model, images, make_generator(0), num_samples=50) == pytest.approx(
            expected, rel=0.01
        )


class TestReconstructionError:
    @staticmethod
    def make_model(x_hat: Tensor, scaling: str = "minmax") -> Autoencoder:
        """One whose decoder makes these pixels (C, H, W), in (0, 1), of every code."""
        model = build_model(make_settings("vsc_sigmoid", pixel_scaling=scaling), DIGITS)
        model.decoder = Constant(x_hat)
        return model

    @pytest.mark.parametrize("scaling", ["minmax", "unit_norm"])
    @pytest.mark.parametrize(("share", "error"), [(1.0, 0.0), (0.5, 0.25), (1e-9, 1.0)])
    def test_it_is_0_of_a_perfect_model_and_1_of_a_black_one_whatever_the_scale(
        self, share: float, error: float, scaling: str
    ) -> None:
        image = make_images(1, DIGITS).clamp(1, 254)
        x = build_model(make_settings("vae", pixel_scaling=scaling), DIGITS).to_pixels(image)
        model = self.make_model(share * x[0], scaling)
        assert compute_reconstruction_error(model, image.expand(7, *DIGITS)) == pytest.approx(error, abs=1e-6)

    @pytest.mark.parametrize("scaling", ["minmax", "unit_norm"])
    def test_the_brightness_of_an_image_is_not_its_weight_and_black_ones_are_left_out(self, scaling: str) -> None:
        image = make_images(1, DIGITS) // 2
        model = self.make_model(torch.full(DIGITS, 1e-9), scaling)  # all but black: an error of 1 for every image
        images = torch.cat([image, 2 * image, torch.zeros_like(image)])
        assert compute_reconstruction_error(model, images) == pytest.approx(1.0, abs=1e-6)
        assert math.isnan(compute_reconstruction_error(model, images[2:]))

    def test_it_is_that_of_the_posterior_mean(self, trained: TrainState, test_digits: Tensor) -> None:
        x, model = to_pixels(test_digits), trained.model
        with torch.no_grad():
            outputs = model.encoder(x)
            gamma = model.latent.slab_prob(model.posterior(x))
            x_hat = 1 / (1 + (-model.decoder(gamma * outputs[:, 0])).exp())
        expected = float((((x_hat - x) ** 2).sum((1, 2, 3)) / (x**2).sum((1, 2, 3))).mean())
        assert 0.02 < expected < 0.5, "the model has learned something"
        assert compute_reconstruction_error(model, test_digits) == pytest.approx(expected, rel=1e-5)


class Constant(nn.Module):
    """Makes the same pixels of every code."""

    def __init__(self, x_hat: Tensor) -> None:
        super().__init__()
        self.x_hat = x_hat

    def forward(self, z: Tensor) -> Tensor:
        return self.x_hat.logit().expand(len(z), *DIGITS)


class TestEveryEvaluation:
    @pytest.fixture(params=EVALUATIONS)
    def evaluate(self, request: pytest.FixtureRequest) -> Callable[[Autoencoder, Tensor], object]:
        return EVALUATIONS[request.param]

    @pytest.fixture
    def model(self) -> Autoencoder:
        return build_model(make_settings("vsc_exp_relu"), SMALL)

    @pytest.fixture
    def images(self) -> Tensor:
        return make_images(10, SMALL)

    @pytest.mark.parametrize("training", [True, False])
    def test_it_runs_in_evaluation_mode_and_puts_back_the_mode_before(
        self, evaluate: Callable[..., object], model: Autoencoder, images: Tensor, training: bool
    ) -> None:
        seen = []
        model.encoder.register_forward_pre_hook(lambda module, _: seen.append(module.training))
        model.train(training)
        evaluate(model, images)
        assert seen
        assert not any(seen)
        assert all(module.training == training for module in model.modules())

    def test_after_an_error_the_mode_and_the_threads_are_those_before(
        self, evaluate: Callable[..., object], model: Autoencoder, images: Tensor
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("of the test's making")

        threads = torch.get_num_threads()
        model.encoder.register_forward_pre_hook(fail)
        model.train()
        with pytest.raises(RuntimeError, match="making"):
            evaluate(model, images)
        assert model.training
        assert torch.get_num_threads() == threads

    def test_it_runs_on_one_thread(self, evaluate: Callable[..., object], model: Autoencoder, images: Tensor) -> None:
        seen, before = [], torch.get_num_threads()
        model.encoder.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        torch.set_num_threads(2)
        try:
            evaluate(model, images)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)
        assert set(seen) == {1}

    def test_it_changes_neither_parameters_nor_gradients_nor_images(
        self, evaluate: Callable[..., object], model: Autoencoder, images: Tensor
    ) -> None:
        before, images_before = {k: v.clone() for k, v in model.state_dict().items()}, images.clone()
        evaluate(model, images)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
        assert torch.equal(images, images_before)

    def test_the_same_noise_gives_the_same_numbers(
        self, evaluate: Callable[..., object], model: Autoencoder, images: Tensor
    ) -> None:
        assert evaluate(model, images) == evaluate(model, images)
