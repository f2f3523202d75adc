"""A Gaussian behind a threshold: closed forms beside quadrature and Monte Carlo, and what is a bound."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from models.autoencoder import Autoencoder
from models.build import build_model, build_objective
from models.latents.thresholded import ThresholdedLatent
from models.latents.thresholded_distribution import ThresholdedGaussian
from models.measures.bounds import compute_bound, compute_iw_bound
from models.measures.per_latent import measure_latents
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from tests.models.cases import SMALL, at, expand, make_generator, make_images, make_noise, make_settings, train
from tests.models.training.conformance import check_resumed_equals_uninterrupted, make_autograd

KIND = "thresholded_vae"
IMAGES = make_images(40, SMALL)
CASES = [  # mu and sigma of q; threshold; mu and sigma of p
    (0.0, 1.0, 1.645, 0.0, 1.0),
    (0.8, 1.0, 1.645, 0.0, 1.0),
    (-2.0, 0.7, 0.5, 0.0, 1.0),
    (3.0, 2.5, 1.0, 0.4, 0.6),
    (0.1, 0.25, 1.2, 0.0, 1.0),
]


def make_pair(case: tuple[float, ...]) -> tuple[ThresholdedGaussian, ThresholdedGaussian]:
    q_loc, q_scale, threshold, p_loc, p_scale = torch.tensor(case, dtype=torch.float64)
    return ThresholdedGaussian(q_loc, q_scale, threshold), ThresholdedGaussian(p_loc, p_scale, threshold)


def integrate(case: tuple[float, ...]) -> dict[str, float]:
    """Moments and KL by quadrature over the noise, from the definition alone."""
    q_loc, q_scale, threshold, p_loc, p_scale = case

    def log_density(noise: np.ndarray, scale: float) -> np.ndarray:
        result: np.ndarray = -0.5 * (noise / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))
        return result

    beyond = np.linspace(0, 12 * q_scale, 400_001)  # of the threshold, to either side
    gamma, square, kl = 0.0, 0.0, 0.0
    for sign in (-1, 1):
        weight = np.exp(log_density(threshold + beyond, q_scale))
        z = q_loc + sign * beyond
        ratio = log_density(threshold + beyond, q_scale) - log_density(np.abs(z - p_loc) + threshold, p_scale)
        gamma += np.trapezoid(weight, beyond)
        square += np.trapezoid(weight * z**2, beyond)
        kl += np.trapezoid(weight * ratio, beyond)
    zero = math.erf(threshold / q_scale / math.sqrt(2)), math.erf(threshold / p_scale / math.sqrt(2))
    return {
        "gamma": gamma,
        "variance": square - (gamma * q_loc) ** 2,
        "kl": kl + zero[0] * math.log(zero[0] / zero[1]),
    }


@pytest.mark.parametrize("case", CASES)
def test_moments_and_kl_are_those_of_quadrature(case: tuple[float, ...]) -> None:
    q, p = make_pair(case)
    expected = integrate(case)
    assert q.slab_prob.item() == pytest.approx(expected["gamma"], rel=1e-4)
    assert q.mean.item() == pytest.approx(expected["gamma"] * case[0], rel=1e-4)
    assert q.variance.item() == pytest.approx(expected["variance"], rel=1e-4)
    assert kl_divergence(q, p).item() == pytest.approx(expected["kl"], rel=1e-4, abs=1e-9)
    assert [log.exp().item() for log in q.log_probs] == pytest.approx([q.slab_prob.item(), 1 - q.slab_prob.item()])


@pytest.mark.parametrize("case", CASES[:-1])  # the last one is hardly ever on
def test_samples_have_the_density_that_is_told(case: tuple[float, ...]) -> None:
    q, p = make_pair(case)
    z = q.threshold_noise(torch.randn(100_000, generator=make_generator(1), dtype=torch.float64))
    share = (z != 0).double().mean().item()
    assert share == pytest.approx(q.slab_prob.item(), abs=4.5 * math.sqrt(share * (1 - share) / len(z)) + 1e-12)
    log_ratio = q.log_prob(z) - p.log_prob(z)
    error = log_ratio.std().item() / math.sqrt(len(z))
    assert log_ratio.mean().item() == pytest.approx(kl_divergence(q, p).item(), abs=4.5 * error + 1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_posteriors_have_a_finite_kl(scale: float) -> None:
    q = ThresholdedGaussian(torch.tensor(3.0), torch.tensor(scale), torch.tensor(1.645))
    p = ThresholdedGaussian(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.645))
    assert kl_divergence(q, p).isfinite()
    if scale < 1:  # always zero, which costs what the prior's zero does
        assert kl_divergence(q, p).item() == pytest.approx(-math.log(0.9), rel=1e-3)


def make_model(alpha: float = 0.3) -> tuple[Autoencoder, ThresholdedLatent]:
    """A model whose encoder tells images well apart."""
    model = build_model(make_settings(KIND, alpha=alpha), SMALL)
    assert isinstance(model.latent, ThresholdedLatent)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(3)
    return model, model.latent


@pytest.mark.parametrize("alpha", [0.01, 0.3, 0.9])
def test_codes_of_the_prior_are_not_zero_as_often_as_alpha_says(alpha: float) -> None:
    model, latent = make_model(alpha)
    assert latent.prior(model.encode).slab_prob.tolist() == pytest.approx([alpha] * 3, rel=1e-5)
    share = (model.draw_prior(20_000, make_noise(0)) != 0).float().mean().item()
    assert share == pytest.approx(alpha, abs=4.5 * math.sqrt(alpha * (1 - alpha) / 60_000))
    if alpha == 0.3:  # as in the paper, where the unit is another: 0.52 at a variance of 0.1 is one in ten
        paper = ThresholdedGaussian(torch.tensor(0.0), torch.tensor(math.sqrt(0.1)), torch.tensor(0.52))
        assert paper.slab_prob.item() == pytest.approx(0.1, abs=2e-4)


def test_the_training_rate_is_that_before_the_threshold_and_the_true_one_stands_beside_it() -> None:
    model, latent = make_model()
    x = IMAGES / 255
    q = model.posterior(x)
    base = kl_divergence(Normal(q.loc, q.scale), Normal(0.0, 1.0)).sum(-1)  # type: ignore[attr-defined]
    torch.testing.assert_close(latent.compute_base_rate(q), base)
    terms = build_objective(make_settings(KIND)).terms(model, x, make_noise(0), at(0.0))
    torch.testing.assert_close(terms.rate, base)
    torch.testing.assert_close(terms.added["thresholded_rate"], model.compute_rate(q, x))
    assert (terms.rate > terms.added["thresholded_rate"]).all(), "they differ"


def test_the_rate_before_the_threshold_is_never_less_than_that_of_the_codes() -> None:
    """So that the training loss is a bound, if a loose one, at a weight of 1."""
    loc = torch.linspace(0, 6, 41, dtype=torch.float64)[:, None, None]
    scale = torch.logspace(-2, 1, 41, dtype=torch.float64)[:, None]
    q = ThresholdedGaussian(loc, scale, torch.logspace(-2, 1, 21, dtype=torch.float64))
    p = ThresholdedGaussian(torch.zeros_like(q.loc), torch.ones_like(q.loc), q.threshold)
    of_codes, before = kl_divergence(q, p), kl_divergence(Normal(q.loc, q.scale), Normal(p.loc, p.scale))
    assert (of_codes >= -1e-12).all()
    assert (of_codes <= before + 1e-12).all()
    assert (of_codes < 0.5 * before).double().mean() > 0.3, "most often it is far more"


def test_what_is_measured_is_a_bound() -> None:
    model, _ = make_model()
    bound = compute_bound(model, IMAGES, make_generator(0), num_samples=50)
    assert -float(bound.rate + bound.distortion) < compute_iw_bound(model, IMAGES, make_generator(0), num_samples=500)
    torch.testing.assert_close(measure_latents(model, IMAGES).kl.sum(), bound.rate, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_bound_is_below_the_likelihood_which_quadrature_over_one_latent_finds() -> None:
    model = build_model(make_settings(KIND, latent_dim=1), SMALL)
    x = IMAGES[:4] / 255
    prior = model.prior()
    grid = torch.linspace(-8, 8, 4_001)
    grid = grid[grid != 0]
    log_beyond = prior.log_prob(grid[:, None]).double()  # (G, 1)
    nats = model.compute_distortion(grid[:, None, None].expand(-1, 4, 1), x).double()  # (G, 4)
    log_zero = prior.log_probs[1].double() - model.compute_distortion(torch.zeros(4, 1), x).double()  # type: ignore[attr-defined]
    width = math.log(16 / 4_000)
    log_p = torch.cat([log_beyond - nats + width, log_zero[None]]).logsumexp(0)  # (4,)

    q = model.posterior(x)
    z = model.draw(expand(q, 20_000), make_noise(2))
    log_weights = (model.compute_log_ratio(q, z) - model.compute_distortion(z, x)).double()
    assert (log_weights.mean(0) < log_p).all()
    torch.testing.assert_close(log_weights.logsumexp(0) - math.log(len(z)), log_p, rtol=0, atol=0.02)


def test_in_training_the_gradient_passes_the_threshold_as_if_there_were_none() -> None:
    _, latent = make_model()
    heads = torch.randn(5, 2, 3, generator=make_generator(3)).requires_grad_()
    z = latent.draw(latent.posterior(heads), make_noise(1), at(0.0))
    assert torch.equal(z, latent.draw(latent.posterior(heads), make_noise(1)))
    assert (z == 0).any()
    (by_heads,) = torch.autograd.grad(z.sum(), heads)
    eps = make_noise(1).normal(5, 3)
    expected = torch.stack([torch.ones(5, 3), 0.5 * (0.5 * heads[:, 1]).exp() * eps], 1)
    torch.testing.assert_close(by_heads, expected)


def test_it_trains_by_autograd_and_resumes_to_the_same_bits() -> None:
    settings = make_settings(KIND)
    assert not isinstance(make_trainer(settings, SMALL, latent_dim=3), Stack)
    check_resumed_equals_uninterrupted(make_autograd, settings)


def test_training_raises_the_true_bound() -> None:
    def measure(epochs: int) -> Tensor:
        state, _ = train(make_settings(KIND, epochs=epochs, learning_rate=0.01), IMAGES)
        bound = compute_bound(state.model, IMAGES, make_generator(0), num_samples=10)
        return bound.rate + bound.distortion

    assert measure(30) < measure(1)
