"""The logarithms of gamma and of 1 - gamma, from the encoder's output, against those of many digits."""

import math

import pytest
import torch
from mpmath import mp, mpf  # type: ignore[import-untyped]

from models.choices import GammaLink
from models.latents.spike_and_slab import SpikeAndSlabLatent, compute_log_probs
from tests.models.cases import at

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
