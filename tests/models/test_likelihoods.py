"""Likelihoods: densities against torch's own, what they ask of decoders, and what a model with each can do."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from models.build import build_model
from models.choices import ImageShape, Variance
from models.likelihoods import MIN_VARIANCE, Gaussian, build
from models.measures.bounds import compute_bound, compute_iw_bound, compute_reconstruction_error
from models.networks.counting import count_parameters
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.make_trainer import make_trainer
from models.training.state import init_state
from models.training.trainer import EpochMetrics
from tests.models.cases import (
    SMALL,
    assert_same_tensors,
    copy_tensors,
    make_generator,
    make_images,
    make_settings,
    shape_of,
    train,
)

VARIANCES: tuple[Variance, ...] = ("fixed", "shared", "per_pixel")
SHAPE: ImageShape = (2, 3, 4)


def make_gaussian(variance: str, kind: str = "vae", **changes: Any) -> TrialSettings:
    pixel_sd = {} if variance == "per_pixel" else {"pixel_sd": 0.3}
    return make_settings(kind, **{"likelihood": "gaussian", "variance": variance, **pixel_sd, **changes})


def draw(num_channels: int) -> tuple[Tensor, Tensor]:
    """Outputs of a decoder for 5 samples of 6 images, and the images."""
    outputs = torch.randn(5, 6, num_channels, 3, 4, generator=make_generator(0))
    return outputs, torch.rand(6, *SHAPE, generator=make_generator(1))


@pytest.mark.parametrize("variance", ["fixed", "shared"])
def test_a_gaussian_of_one_variance_has_torchs_density(variance: str) -> None:
    outputs, x = draw(2)
    likelihood = build(make_gaussian(variance))
    sd = 0.3 if variance == "fixed" else math.sqrt(0.3**2 + MIN_VARIANCE)
    expected = -Normal(outputs.double().sigmoid(), sd).log_prob(x.double()).sum((-3, -2, -1))
    torch.testing.assert_close(likelihood.nats(outputs, x).double(), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(likelihood.picture(outputs), outputs.sigmoid())


def test_a_gaussian_of_a_variance_for_each_pixel_takes_it_from_the_further_channels() -> None:
    outputs, x = draw(4)
    likelihood = build(make_gaussian("per_pixel"))
    mean, log_variance = outputs[:, :, :2].sigmoid(), outputs[:, :, 2:]
    sd = (log_variance.double().exp() + MIN_VARIANCE).sqrt()
    expected = -Normal(mean.double(), sd).log_prob(x.double()).sum((-3, -2, -1))
    torch.testing.assert_close(likelihood.nats(outputs, x).double(), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(likelihood.picture(outputs), mean)


def test_a_density_stays_finite_where_a_learned_variance_goes_to_zero() -> None:
    outputs = torch.zeros(1, 2, 1, 1)
    outputs[:, 1] = -200.0
    outputs.requires_grad_()
    nats = Gaussian("per_pixel", 0.1).nats(outputs, torch.full((1, 1, 1, 1), 0.5))
    assert nats.item() == pytest.approx(0.5 * math.log(2 * math.pi * MIN_VARIANCE), rel=1e-6)
    (gradient,) = torch.autograd.grad(nats.sum(), outputs)
    assert gradient.isfinite().all()


def test_binary_pixels_have_the_probability_of_torchs_bernoulli() -> None:
    outputs, x = draw(2)
    x = x.round()
    expected = -Bernoulli(logits=outputs).log_prob(x).sum((-3, -2, -1))
    torch.testing.assert_close(build(make_settings("vae")).nats(outputs, x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_its_parameters_are_counted(variance: str, network: str) -> None:
    hidden = (400,) if network == "conv" else (5,)
    settings = make_gaussian(variance, network=network, hidden=hidden)
    model = build_model(settings, (3, 16, 16))
    counted = count_parameters(settings, (3, 16, 16))
    assert counted is not None
    assert sum(p.numel() for p in model.parameters()) == counted + (variance == "shared")
    assert model.make_outputs(torch.zeros(2, 3)).shape == (2, 6 if variance == "per_pixel" else 3, 16, 16)
    assert model.decode(torch.zeros(2, 3)).shape == (2, 3, 16, 16)


def test_the_head_of_the_variances_takes_no_draw_from_the_layers_before() -> None:
    one, other = (build_model(make_gaussian(variance), SMALL).state_dict() for variance in ("fixed", "per_pixel"))
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name][: len(tensor)])


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("kind", ["vae", "vsc_sigmoid"])
def test_a_model_trains_towards_higher_densities_and_its_bounds_stand_in_order(variance: str, kind: str) -> None:
    images = (make_images(1, SMALL) // 2 + 60).repeat(60, 1, 1, 1) + make_images(60, SMALL, seed=1) // 8
    settings = make_gaussian(variance, kind, learning_rate=0.01, batch_size=20, epochs=40)
    assert isinstance(make_trainer(settings, SMALL, latent_dim=3), AutogradTrainer), "its gradients are not written out"
    start = init_state(settings, SMALL)
    before = compute_bound(start.model, images, make_generator(1))
    state, _ = train(settings, images)
    bound = compute_bound(state.model, images, make_generator(1), num_samples=20)
    elbo = -float(bound.rate + bound.distortion)
    assert elbo > -float(before.rate + before.distortion) + 1
    assert elbo - 0.5 < compute_iw_bound(state.model, images, make_generator(2), num_samples=200)
    assert compute_reconstruction_error(state.model, images) < compute_reconstruction_error(start.model, images)


def test_a_shared_variance_becomes_that_of_the_errors() -> None:
    """It maximises the density where it is their mean square: 20 intensities around one mean, of a known spread."""
    images = (128 + 25 * torch.randn(400, *SMALL, generator=make_generator(3))).clamp(0, 255).to(torch.uint8)
    settings = make_gaussian("shared", learning_rate=0.02, batch_size=100, epochs=60, beta=100.0)
    state, _ = train(settings, images)
    likelihood = state.model.likelihood
    assert isinstance(likelihood, Gaussian)
    assert math.exp(0.5 * likelihood.log_variance.item()) == pytest.approx(25 / 255, rel=0.1)


@pytest.mark.parametrize("variance", ["shared", "per_pixel"])
def test_trained_in_parts_it_has_the_same_bits(variance: str) -> None:
    settings, images = make_gaussian(variance, batch_size=16), make_images(40, SMALL)
    whole, first = (AutogradTrainer(settings, SMALL) for _ in range(2))
    for trainer in (whole, first):
        trainer.add(settings, init_state(settings, SMALL).tensors(), epoch=0, step=0)
        trainer.fit_epoch(images)
    state = init_state(settings, shape_of(images), is_drawn=False)
    first.store(0, state.tensors())
    second = AutogradTrainer(settings, SMALL)
    second.add(settings, copy_tensors(state), epoch=1, step=3)
    (metrics,), (again,) = whole.fit_epoch(images), second.fit_epoch(images)
    assert isinstance(metrics, EpochMetrics)
    assert isinstance(again, EpochMetrics)
    assert metrics.loss == again.loss
    ends = [init_state(settings, SMALL, is_drawn=False) for _ in range(2)]
    for trainer, end in zip((whole, second), ends, strict=True):
        trainer.store(0, end.tensors())
    assert_same_tensors(ends[0].tensors(), ends[1].tensors())
