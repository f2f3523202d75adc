"""MLP: what it computes and how it is initialised."""

import math

import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn

from models.build import build_model
from models.choices import Initialisation
from models.networks.mlp import MLP, make_linear
from tests.models.cases import DIGITS, KINDS, make_generator, make_settings


def test_it_is_linear_layers_with_relu_between_and_none_after() -> None:
    network = MLP([5, 8, 6, 3], make_generator(0))
    x = torch.randn(4, 5, generator=make_generator(1))
    y = x
    for i, layer in enumerate(network.layers):
        assert isinstance(layer, nn.Linear)
        y = y @ layer.weight.T + layer.bias
        if i < 2:
            y = y * (y > 0)
    torch.testing.assert_close(network(x), y)
    assert (network(x) < 0).any(), "nothing is cut off after the last layer"


def test_its_layers_have_the_given_widths() -> None:
    assert [tuple(p.shape) for p in MLP([5, 8, 3], make_generator(0)).parameters()] == [(8, 5), (8,), (3, 8), (3,)]
    assert [tuple(p.shape) for p in MLP([5, 3], make_generator(0)).parameters()] == [(3, 5), (3,)]


def test_it_maps_the_last_dimension_under_any_number_of_others() -> None:
    assert MLP([5, 8, 3], make_generator(0))(torch.zeros(2, 7, 4, 5)).shape == (2, 7, 4, 3)


@pytest.mark.parametrize("num_in", [3, 64, 400])
def test_a_layer_starts_distributed_as_torchs_own(num_in: int) -> None:
    num_out = 300
    ours = make_linear(num_in, num_out, make_generator(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = nn.Linear(num_in, num_out)
    bound = 1 / math.sqrt(num_in)
    for name in ("weight", "bias"):
        mine, reference = (getattr(layer, name).detach().flatten() for layer in (ours, theirs))
        assert mine.abs().max() <= bound
        assert mine.abs().max() > 0.95 * bound
        assert ks_2samp(mine.numpy(), reference.numpy()).pvalue > 1e-3
    assert ours.weight.requires_grad
    assert ours.bias.requires_grad


@pytest.mark.parametrize("num_heads", [1, 3])
def test_xavier_looks_at_both_ends_of_each_head_and_leaves_the_biases(num_heads: int) -> None:
    num_in, num_out = 64, 90
    layer = make_linear(num_in, num_out, make_generator(2), num_heads=num_heads, initialisation="xavier")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        weight = nn.init.xavier_uniform_(torch.empty(num_out // num_heads, num_in))
    bound = math.sqrt(6 / (num_in + num_out // num_heads))
    for head in layer.weight.detach().chunk(num_heads):
        assert 0.95 * bound < head.abs().max() <= bound
        assert ks_2samp(head.flatten().numpy(), weight.flatten().numpy()).pvalue > 1e-3
    assert 0.9 / math.sqrt(num_in) < layer.bias.abs().max() <= 1 / math.sqrt(num_in)


@pytest.mark.parametrize("initialisation", ["kaiming", "xavier"])
def test_heads_start_as_layers_of_their_own(initialisation: Initialisation) -> None:
    together = make_linear(5, 6, make_generator(1), num_heads=3, initialisation=initialisation)
    generator = make_generator(1)
    apart = [make_linear(5, 2, generator, initialisation=initialisation) for _ in range(3)]
    assert torch.equal(together.weight, torch.cat([head.weight for head in apart]))
    assert torch.equal(together.bias, torch.cat([head.bias for head in apart]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_of_a_model_starts_as_its_settings_say(kind: str) -> None:
    kaiming, xavier = (
        build_model(make_settings(kind, initialisation=initialisation), DIGITS).state_dict()
        for initialisation in ("kaiming", "xavier")
    )
    for name, one in kaiming.items():
        num_out, num_in = (3 if "encoder.layers.1" in name else len(one)), one.shape[-1]
        ratio = math.sqrt(6 / (num_in + num_out)) * math.sqrt(num_in) if name.endswith("weight") else 1.0
        torch.testing.assert_close(xavier[name], ratio * one, rtol=1e-5, atol=1e-7)  # from the same draws


def test_weights_and_biases_of_all_layers_are_drawn_apart() -> None:
    network = MLP([6, 6, 6], make_generator(4))
    rows = [p.detach().flatten()[:6] for p in network.parameters()]
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(kind: str) -> None:
    one, same, other = (build_model(make_settings(kind, seed=seed), DIGITS).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("kind", "num_heads"), [("vae", 2), ("vsc_exp_relu", 3), ("vsc_sigmoid", 3)])
def test_a_model_starts_as_the_reports_code_starts_it(kind: str, num_heads: int) -> None:
    """Separate torch layers, made in order after torch.manual_seed: hidden layers, a head each, the decoder."""
    settings = make_settings(kind, hidden=(16, 8), latent_dim=3, seed=11)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        hidden = [nn.Linear(64, 16), nn.Linear(16, 8)]
        heads = [nn.Linear(8, 3) for _ in range(num_heads)]
        decoder = [nn.Linear(3, 8), nn.Linear(8, 16), nn.Linear(16, 64)]
    model = build_model(settings, DIGITS)
    ours = list(model.parameters())
    theirs = [p for layer in hidden for p in (layer.weight, layer.bias)]
    theirs += [torch.cat([head.weight for head in heads]), torch.cat([head.bias for head in heads])]
    theirs += [p for layer in decoder for p in (layer.weight, layer.bias)]
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-6, atol=0)
