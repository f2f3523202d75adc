"""What is written out of the objective is what autograd finds of the models' own bound, and padding is nothing."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.choices import Estimator
from models.randomness import CounterNoise, draw_noise, make_key, make_offsets, make_row_keys
from models.training.stacked import cuda_graph as cuda
from models.training.stacked.gradients import (
    ESTIMATORS,
    Coefficients,
    compare_pixels,
    find_heads_gradient,
    sample_codes,
)
from models.training.state import init_state
from tests.models.cases import SMALL, at, make_images, make_settings


def make_case() -> tuple[Tensor, tuple[tuple[Tensor, Tensor], Tensor], Coefficients]:
    """Three members of six latents, of which they own 6, 2 and 4; the last one is a VAE."""
    generator = torch.Generator().manual_seed(0)
    heads = torch.randn(3, 5, 3, 6, generator=generator)
    keys = make_row_keys([make_key(seed, "noise", 1) for seed in range(3)], 5)
    owned = torch.tensor([6, 2, 4])[:, None, None]
    alpha = torch.tensor([0.2, 0.5, 0.5])[:, None, None]
    coefficients = Coefficients(
        log_slab=alpha.log(),
        log_spike=torch.log1p(-alpha),
        beta=torch.tensor([1.0, 2.0, 0.5])[:, None, None],
        is_dense=torch.tensor([False, False, True])[:, None, None],
        is_padding=torch.arange(6)[None, None] >= owned,
    )
    return heads, (draw_noise(keys[..., None] + make_offsets(6)), torch.full((3, 1, 1), 50.0)), coefficients


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_padding_are_exactly_zero(estimator: Estimator, link: Any) -> None:
    heads, noise, coefficients = make_case()
    codes = sample_codes(heads, *noise, coefficients, link, estimator=estimator)
    distortion = torch.arange(codes.z.shape[1]).square().expand(3, -1).float()
    grad = find_heads_gradient(codes, torch.full_like(codes.z, 7.0), distortion)
    assert coefficients.is_padding is not None
    padding = coefficients.is_padding.expand(3, 5, 6)
    assert (codes.z[coefficients.is_padding.expand_as(codes.z)] == 0).all()
    assert (grad.transpose(2, 3)[padding] == 0).all()
    assert (grad[2, :, 2] == 0).all(), "a VAE has no third head"
    assert (grad.transpose(2, 3)[:2][~padding[:2]] != 0).any()


@pytest.mark.parametrize("link", ["exp_relu", "sigmoid"])
def test_the_rate_ignores_padding(link: Any) -> None:
    heads, noise, coefficients = make_case()
    rate = sample_codes(heads, *noise, coefficients, link).rate
    other = torch.where(coefficients.is_padding.unsqueeze(2), heads + 3.0, heads)  # type: ignore[union-attr]
    assert torch.equal(sample_codes(other, *noise, coefficients, link).rate, rate)


def test_without_a_clamp_a_gamma_of_one_is_lost_where_it_is_a_latents_and_nowhere_else() -> None:
    heads, noise, coefficients = make_case()
    heads[:, :, 2] = 1.0
    codes = sample_codes(heads, *noise, coefficients, "exp_relu", gamma_clamp=0.0)
    grad = find_heads_gradient(codes, torch.ones_like(codes.z), torch.zeros(3, 5)).transpose(2, 3)
    assert coefficients.is_padding is not None
    padding = coefficients.is_padding.expand_as(codes.z)
    assert codes.rate[:2].isnan().all()
    assert codes.rate[2].isfinite().all(), "a VAE has no gamma"
    assert grad[2].isfinite().all()
    assert (grad[padding] == 0).all()


@pytest.mark.parametrize("scaling", ["minmax", "unit_norm"])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("vae", {}),
        *(("vsc_exp_relu", {"gamma_clamp": clamp}) for clamp in (1e-6, 0.3)),
        *(("vsc_sigmoid", {"gamma_clamp": clamp}) for clamp in (0.0, 1e-6, 0.3)),
        *((kind, {"kl_from": "logits"}) for kind in ("vsc_exp_relu", "vsc_sigmoid")),
    ],
)
def test_they_are_autograds(kind: str, changes: dict[str, Any], scaling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(kind, latent_dim=7, beta=1.7, pixel_scaling=scaling, **changes)
    model = init_state(settings, SMALL).model
    x = model.to_pixels(make_images(32, SMALL))
    (keys,) = make_row_keys([make_key(0, "noise", 1)], 32)
    eps, eta = draw_noise(keys[..., None] + make_offsets(7))
    outputs = (3 * model.encoder(x)).detach()  # far from zero, where gamma is clamped too
    if settings.kl_from == "logits":
        # v of one latent, where logarithms are hard.
        outputs[:8, -1, -1] = torch.tensor([0, 1e-20, -1e-20, -1e-3, 30, -30, 200, -200])
    outputs.requires_grad_()
    monkeypatch.setattr(model.encoder, "forward", lambda _: outputs)
    elbo = model.compute_elbo(x, CounterNoise(keys), at(50.0))
    (expected,) = torch.autograd.grad((settings.beta * elbo.rate + elbo.distortion).sum(), outputs)

    alpha = torch.full((1, 1, 1), settings.alpha or 0.5)
    coefficients = Coefficients(alpha.log(), torch.log1p(-alpha), torch.full((1, 1, 1), settings.beta), None, None)
    heads = outputs.detach().view(1, 32, -1, 7)
    with torch.no_grad():
        noise, sharpness = (eps[None], eta[None]), torch.full((1, 1, 1), 50.0)
        ways: dict[str, Any] = {"gamma_clamp": settings.gamma_clamp or 0.0, "kl_from": settings.kl_from or "gamma"}
        codes = sample_codes(heads, noise, sharpness, coefficients, settings.gamma_link, **ways)
    z = codes.z[0].requires_grad_()
    logits = model.decoder(z).flatten(1)
    distortion, by_logits = compare_pixels(logits.detach()[None], x.flatten(1)[None])
    torch.testing.assert_close(codes.rate[0], elbo.rate.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(distortion[0], elbo.distortion.detach(), rtol=1e-5, atol=1e-5)
    (by_z,) = torch.autograd.grad(logits, z, by_logits[0])
    grad = find_heads_gradient(codes, by_z[None], distortion)[0]
    torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(
    ("link", "ways"),
    [
        *(("exp_relu", {"gamma_clamp": clamp}) for clamp in (1e-6, 0.1)),
        *(("sigmoid", {"gamma_clamp": clamp}) for clamp in (1e-6, 0.0)),
        *((link, {"kl_from": "logits"}) for link in ("exp_relu", "sigmoid")),
    ],
)
def test_compiled_as_on_a_gpu_it_computes_the_same(
    link: Any, ways: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled for the processor at hand: that the compiler takes it, and changes no number by more than rounding."""
    monkeypatch.setattr(cuda, "OUTCOMES", {})
    heads, _, coefficients = make_case()
    counters = make_row_keys([make_key(seed, "noise", 1) for seed in range(3)], 5)[..., None] + make_offsets(6)
    sharpness = torch.full((3, 1, 1), 50.0)
    x = make_images(15, SMALL).view(3, 5, -1) / 255
    with torch.inference_mode():
        noise = draw_noise(counters)
        given = cuda.compile_elementwise(draw_noise, torch.device("cuda"))(counters)
        codes = sample_codes(heads, noise, sharpness, coefficients, link, **ways)
        compiled = cuda.compile_elementwise(sample_codes, torch.device("cuda"))
        given += tuple(compiled(heads, noise, sharpness, coefficients, link, **ways))[:4]
        given += cuda.compile_elementwise(compare_pixels, torch.device("cuda"))(2 * x - 1, x)
        expected = (*noise, *codes[:4], *compare_pixels(2 * x - 1, x))
        for one, other in zip(given, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert set(cuda.OUTCOMES.values()) == {cuda.COMPILED}
