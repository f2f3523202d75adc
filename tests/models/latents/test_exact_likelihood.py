"""Bounds beside log p(x), which a linear Gaussian decoder of ten spike-and-slab latents has by enumeration.

p(x) = sum over the 2^10 patterns of open gates b of p(b) N(x; 0, W_b W_b' + s^2 I).
"""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from models.latents.spike_and_slab_distribution import SpikeAndSlab
from tests.models.cases import make_generator

NUM_LATENTS, NUM_PIXELS, ALPHA, NOISE = 10, 12, 0.3, 0.5


def make_prior() -> SpikeAndSlab:
    one = torch.ones(NUM_LATENTS, dtype=torch.float64)
    return SpikeAndSlab(ALPHA * one, 0 * one, one)


def make_decoder(*, is_orthogonal: bool) -> Tensor:  # -> (P, D)
    weight = torch.randn(NUM_PIXELS, NUM_LATENTS, dtype=torch.float64, generator=make_generator(0))
    return 1.5 * torch.linalg.qr(weight).Q if is_orthogonal else 0.5 * weight


def draw_image(weight: Tensor) -> Tensor:  # -> (P,)
    z = make_prior().sample(generator=make_generator(1))
    return weight @ z + NOISE * torch.randn(NUM_PIXELS, dtype=torch.float64, generator=make_generator(2))


def compute_log_likelihood(weight: Tensor, x: Tensor) -> Tensor:  # -> (), log p(x)
    patterns = torch.tensor(list(itertools.product([0.0, 1.0], repeat=NUM_LATENTS)), dtype=torch.float64)
    opened = weight * patterns[:, None]  # (2^D, P, D)
    covariance = opened @ opened.mT + NOISE**2 * torch.eye(NUM_PIXELS, dtype=torch.float64)
    log_prior = (patterns * math.log(ALPHA) + (1 - patterns) * math.log(1 - ALPHA)).sum(1)
    return (log_prior + MultivariateNormal(torch.zeros_like(x), covariance).log_prob(x)).logsumexp(0)


def compute_log_weights(q: SpikeAndSlab, weight: Tensor, x: Tensor, count: int) -> Tensor:  # -> (count,)
    """log p(x, z) - log q(z|x) of hard samples: their mean is the ELBO."""
    z = q.sample((count,), generator=make_generator(3))
    log_ratio = (make_prior().log_prob(z) - q.log_prob(z)).sum(-1)
    return log_ratio + Normal(z @ weight.T, NOISE).log_prob(x).sum(-1)


def solve_posterior(weight: Tensor, x: Tensor) -> SpikeAndSlab:
    """The posterior, exact where the columns of the decoder are orthogonal: a latent sees its own projection of x."""
    length = weight.square().sum(0)
    variance = 1 / (1 + length / NOISE**2)
    mean = variance * (weight.T @ x) / NOISE**2
    odds = math.log(ALPHA / (1 - ALPHA)) + 0.5 * (variance.log() + mean.square() / variance)
    return SpikeAndSlab(odds.sigmoid(), mean, variance.sqrt())


def test_at_the_true_posterior_every_sample_says_the_exact_likelihood_and_so_does_the_elbo() -> None:
    weight = make_decoder(is_orthogonal=True)
    x = draw_image(weight)
    exact, q = compute_log_likelihood(weight, x), solve_posterior(weight, x)
    assert ((q.slab_prob > 0.02) & (q.slab_prob < 0.98)).sum() > 3, "gates that are neither open nor closed"
    torch.testing.assert_close(compute_log_weights(q, weight, x, 200), exact.expand(200), rtol=1e-12, atol=1e-10)
    # The expected distortion in closed form: |x - W z|^2 has mean |x - W E[z]|^2 + sum_d |W_d|^2 Var[z_d].
    squares = (x - weight @ q.mean).square().sum() + (weight.square().sum(0) * q.variance).sum()
    distortion = 0.5 * squares / NOISE**2 + NUM_PIXELS * (math.log(NOISE) + 0.5 * math.log(2 * math.pi))
    elbo = -kl_divergence(q, make_prior()).sum() - distortion
    torch.testing.assert_close(elbo, exact, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_elsewhere_the_elbo_is_below_it_and_the_weighted_bound_rises_to_it(shift: float) -> None:
    weight = make_decoder(is_orthogonal=False)  # whose posterior no product over the latents is
    x = draw_image(weight)
    exact, q = compute_log_likelihood(weight, x), solve_posterior(weight, x)
    q = SpikeAndSlab((q.slab_prob.logit() + shift).sigmoid(), q.loc, 1.3 * q.scale)
    log_weights = compute_log_weights(q, weight, x, 400_000)
    bounds, errors = [], []
    for k in (1, 10, 100, 10_000):
        estimates = log_weights.view(-1, k).logsumexp(1) - math.log(k)
        bounds.append(float(estimates.mean()))
        errors.append(float(estimates.std() / math.sqrt(len(estimates))))
    print(f"\nlog p(x) {float(exact):.3f}; bounds of 1, 10, 100, 10,000 samples {[round(b, 3) for b in bounds]}")
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.2 - 4 * errors[0]
    assert all(bound < exact + 4 * error for bound, error in zip(bounds, errors, strict=True))
    assert bounds[-1] == pytest.approx(float(exact), abs=0.1 + 4 * errors[-1])
