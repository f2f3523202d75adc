"""Logarithms of gamma and 1 - gamma, from the encoder's output, against those of many digits; relaxed samples."""

import math

import pytest
import torch
from mpmath import mp, mpf  # type: ignore[import-untyped]
from torch import Tensor
from torch.autograd import gradcheck

from models.choices import GammaLink
from models.latents.spike_and_slab import SpikeAndSlabLatent, compute_log_probs
from models.latents.spike_and_slab_distribution import SpikeAndSlab
from tests.models.cases import at, expand, make_generator, make_noise
from tests.models.latents.test_spike_and_slab_distribution import draw_parameters

HARD = [0.0, 1e-30, -1e-30, 1e-8, -1e-8, -0.1, -0.69314, -0.69316, 3.0, -3.0, 17.0, -17.0, 88.0, -88.0, 1e4, -1e4]


def find_logs(v: float, link: GammaLink) -> tuple[float, float]:
    """Log gamma and log(1 - gamma) in 60 digits; the latter no less than what float32 can hold."""
    with mp.workdps(60):
        if link == "sigmoid":
            return tuple(float(-mp.log1p(mp.exp(sign * mpf(v)))) for sign in (-1, 1))  # type: ignore[return-value]
        log_gamma = min(mpf(v), mpf(0))
        return float(log_gamma), float(mp.log(max(-mp.expm1(log_gamma), torch.finfo(torch.float32).tiny)))


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
def test_logarithms_have_all_digits_of_float32(link: GammaLink) -> None:
    v = torch.tensor(HARD)
    for ours, expected in zip(
        compute_log_probs(v, link), zip(*(find_logs(float(value), link) for value in v), strict=True), strict=True
    ):
        torch.testing.assert_close(ours, torch.tensor(expected), rtol=3e-7, atol=1e-37)


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
def test_the_kl_from_logits_and_its_gradient_are_finite_and_right_for_every_output(link: GammaLink) -> None:
    """d KL / dv = gamma' (log gamma - log alpha - log(1 - gamma) + log(1 - alpha) + the slab's KL)."""
    latent = SpikeAndSlabLatent(len(HARD), alpha=0.01, gamma_link=link, kl_from="logits")
    heads = torch.zeros(1, 3, len(HARD))
    heads[0, 0] = 0.7  # the slab's KL is 0.7^2 / 2
    heads[0, 2] = torch.tensor(HARD)
    heads.requires_grad_()
    q = latent.posterior(heads)
    rate = latent.rate(q, heads, lambda x: x, at(50.0)).sum()
    (gradient,) = torch.autograd.grad(rate, heads)
    total = 0.0
    for v, found in zip(heads[0, 2].tolist(), gradient[0, 2].tolist(), strict=True):
        log_gamma, log_spike = find_logs(v, link)
        gamma, spike = math.exp(log_gamma), math.exp(log_spike)
        by_slab, by_spike = log_gamma - math.log(0.01), log_spike - math.log(0.99)
        total += gamma * (by_slab + 0.245) + spike * by_spike
        slope = gamma * (v < 0) if link == "exp_relu" else gamma * spike
        assert found == pytest.approx(slope * (by_slab - by_spike + 0.245), rel=1e-5, abs=1e-6)
    assert rate.item() == pytest.approx(total, rel=1e-5)


class TestRelaxedSamples:
    latent = SpikeAndSlabLatent(1, alpha=0.5, gamma_link="sigmoid")

    def test_they_follow_the_formula(self) -> None:
        q, generator = draw_parameters(50, seed=12), make_generator(13)
        eps, eta = torch.randn(7, 50, generator=generator), torch.rand(7, 50, generator=generator)
        expected = 1 / (1 + torch.exp(-60 * (eta - 1 + q.slab_prob))) * (q.loc + q.scale * eps)
        torch.testing.assert_close(self.latent.draw(expand(q, 7), make_noise(13), at(60)), expected)

    def test_they_tend_to_the_hard_samples_of_the_same_noise_as_sharpness_grows(self) -> None:
        q = expand(draw_parameters(100, seed=14), 200)
        hard = self.latent.draw(q, make_noise(15))
        gaps = [
            (self.latent.draw(q, make_noise(15), at(sharpness)) - hard).abs().mean().item()
            for sharpness in (10.0, 50.0, 200.0, 1e4, 1e6, 1e12)
        ]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[0] > 0.05
        assert gaps[-1] < 1e-6

    def test_gradients_flow_to_all_three_parameters(self) -> None:
        q = draw_parameters(20, seed=16)
        parameters = [t.clone().requires_grad_() for t in (q.slab_prob, q.loc, q.scale)]

        def draw(*values: Tensor) -> Tensor:
            return self.latent.draw(expand(SpikeAndSlab(*values), 3), make_noise(17), at(5))

        draw(*parameters).square().sum().backward()
        assert all(p.grad is not None and (p.grad != 0).all() for p in parameters)
        assert gradcheck(draw, parameters)
