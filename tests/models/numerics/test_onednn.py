"""Layers through oneDNN: what they compute and whose gradients, against torch's in float64."""

from typing import Literal

import pytest
import torch
from torch.nn.functional import linear

from models.numerics.onednn import WORTHWHILE, apply_layer
from tests.models.cases import make_generator

LARGE, SMALL = (64, 256, 300), (4, 8, 5)  # (B, in, out), on both sides of what is worth a call


def make(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=make_generator(seed)).requires_grad_()


def draw(shape: tuple[int, int, int], *leading: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, num_in, num_out = shape
    return make(*leading, batch, num_in, seed=0), make(num_out, num_in, seed=1), make(num_out, seed=2)


def test_the_two_shapes_lie_on_both_sides() -> None:
    assert SMALL[0] * SMALL[1] * SMALL[2] < WORTHWHILE <= LARGE[0] * LARGE[1] * LARGE[2]


@pytest.mark.parametrize("shape", [LARGE, SMALL])
@pytest.mark.parametrize("leading", [(), (3,)])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_a_layer_and_its_gradients_are_torchs(
    shape: tuple[int, int, int], leading: tuple[int, ...], activation: Literal["relu", "tanh"] | None
) -> None:
    arguments = draw(shape, *leading)
    exact = [a.detach().double().requires_grad_() for a in arguments]
    expected = linear(*exact)
    if activation is not None:
        expected = expected.relu() if activation == "relu" else expected.tanh()
    out = apply_layer(*arguments, activation=activation)
    by_out = torch.randn(*out.shape, generator=make_generator(3))
    ours = torch.autograd.grad(out, arguments, by_out, retain_graph=True)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)
    for gradient, exactly in zip(ours, torch.autograd.grad(expected, exact, by_out.double()), strict=True):
        torch.testing.assert_close(gradient.double(), exactly, rtol=1e-5, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(apply_layer(*arguments, activation=activation), out, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_only_what_has_a_gradient_gets_one(shape: tuple[int, int, int]) -> None:
    x, weight, bias = draw(shape)
    apply_layer(x, weight.detach(), bias.detach()).sum().backward()
    torch.testing.assert_close(x.grad, weight.detach().sum(0).expand_as(x), rtol=1e-5, atol=1e-4)
    apply_layer(x.detach(), weight, bias).sum().backward()
    torch.testing.assert_close(weight.grad, x.detach().sum(0).expand_as(weight), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(bias.grad, torch.full_like(bias, float(len(x))))


def test_bf16_stays_bf16() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert apply_layer(*draw(LARGE)).dtype == torch.bfloat16
        with torch.no_grad():
            assert apply_layer(*draw(LARGE)).dtype == torch.bfloat16
