"""The gradient of the gates: the mean of each estimator over its noise, beside the expectation's by enumeration."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.choices import Estimator, GammaLink
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.training.reproduction_stream import BatchNoise
from tests.models.cases import at, make_generator

NUM_LATENTS, NUM_PIXELS, NUM_DRAWS = 3, 5, 100_000
GENERATOR = make_generator(0)
WEIGHT = 2 * torch.randn(NUM_PIXELS, NUM_LATENTS, generator=GENERATOR)
X = torch.rand(NUM_PIXELS, generator=GENERATOR)
EPS = torch.randn(NUM_LATENTS, generator=GENERATOR)
HEADS = torch.stack(  # mu, log sigma^2 and v
    [torch.randn(NUM_LATENTS, generator=GENERATOR), torch.zeros(NUM_LATENTS), torch.tensor([-1.5, -0.4, -2.5])]
)


def compute_nats(z: Tensor) -> Tensor:  # (..., D) -> (...)
    """A linear decoder of Bernoulli pixels."""
    logits = z @ WEIGHT.T.to(z.dtype)
    return binary_cross_entropy_with_logits(logits, X.to(z.dtype).expand_as(logits), reduction="none").sum(-1)


def enumerate_gradient(link: GammaLink) -> tuple[Tensor, Tensor]:
    """The expectation over all patterns of gates at one noise of the slab, and its gradient by the heads, float64."""
    heads = HEADS.double().requires_grad_()
    mu, log_var, v = heads
    gamma = v.clamp_max(0).exp() if link == "exp_relu" else v.sigmoid()
    slab = mu + (log_var / 2).exp() * EPS.double()
    expected = torch.zeros((), dtype=torch.float64)
    for pattern in itertools.product([0.0, 1.0], repeat=NUM_LATENTS):
        gates = torch.tensor(pattern, dtype=torch.float64)
        prob = (gates * gamma + (1 - gates) * (1 - gamma)).prod()
        expected = expected + prob * compute_nats(gates * slab)
    (gradient,) = torch.autograd.grad(expected, heads)
    return expected.detach(), gradient


def estimate(estimator: Estimator, link: GammaLink, sharpness: float = 50.0) -> tuple[Tensor, Tensor]:
    """The estimated distortions (N,) of as many draws of the gates, and their gradients by the heads (N, H, D)."""
    latent = SpikeAndSlabLatent(NUM_LATENTS, alpha=0.2, gamma_link=link, estimator=estimator)
    heads = HEADS.expand(NUM_DRAWS, -1, -1).clone().requires_grad_()
    eta = torch.rand(NUM_DRAWS, NUM_LATENTS, generator=make_generator(1))
    noise = BatchNoise(EPS.expand(NUM_DRAWS, -1), eta)
    nats = latent.estimate_distortion(latent.posterior(heads), compute_nats, noise, at(sharpness))
    (gradients,) = torch.autograd.grad(nats.sum(), heads)
    return nats.detach(), gradients


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
@pytest.mark.parametrize("estimator", ["straight_through", "disarm"])
def test_hard_gates_give_the_distortion_without_bias(estimator: Estimator, link: GammaLink) -> None:
    expected, _ = enumerate_gradient(link)
    nats, _ = estimate(estimator, link)
    assert abs(nats.double().mean() - expected) < 4 * nats.double().std() / NUM_DRAWS**0.5


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
def test_disarm_has_no_bias_by_any_head(link: GammaLink) -> None:
    _, expected = enumerate_gradient(link)
    _, gradients = estimate("disarm", link)
    error = gradients.double().std(0) / NUM_DRAWS**0.5
    assert ((gradients.double().mean(0) - expected).abs() < 4 * error + 1e-6).all()


@pytest.mark.parametrize(("estimator", "sharpness"), [("relaxed", 5.0), ("straight_through", 50.0)])
def test_the_others_have_a_bias_by_v(estimator: Estimator, sharpness: float) -> None:
    """Relaxed gates less so the sharper they are, but at a higher variance."""
    _, expected = enumerate_gradient("sigmoid")
    _, gradients = estimate(estimator, "sigmoid", sharpness)
    error = gradients.double().std(0) / NUM_DRAWS**0.5
    bias = gradients.double().mean(0) - expected
    print(f"\n{estimator}: bias by v {bias[2].tolist()}, gradient {expected[2].tolist()}")
    assert (bias[2].abs() > 5 * error[2]).any()


def test_a_straight_through_gate_is_hard_and_its_gradient_the_relaxed_ones() -> None:
    latent = SpikeAndSlabLatent(NUM_LATENTS, alpha=0.2, gamma_link="sigmoid", estimator="straight_through")
    heads = HEADS[None].clone().requires_grad_()
    eta = torch.rand(1, NUM_LATENTS, generator=make_generator(2))
    q = latent.posterior(heads)
    z = latent.draw(q, BatchNoise(EPS[None], eta), at(3.0))
    slab = q.loc + q.scale * EPS
    assert torch.equal(z, slab.where(eta >= 1 - q.slab_prob, 0.0))
    (gradient,) = torch.autograd.grad(z.sum(), heads)
    gates = torch.sigmoid(3.0 * (eta - 1 + q.slab_prob))
    expected = 3.0 * gates * (1 - gates) * q.slab_prob * (1 - q.slab_prob) * slab
    torch.testing.assert_close(gradient[:, 2], expected.detach())
