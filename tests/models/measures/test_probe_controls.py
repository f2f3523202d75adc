"""Controls of the probes: which latents they see, and that they tell a code from the encoder behind it."""

import math

import pytest
import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model
from models.measures.metric_names import CONTROL_METRICS
from models.measures.probes import run_control_probes, run_probes
from models.measures.probes.controls import find_latents_on, make_control_inputs
from tests.models.cases import SMALL, make_images, make_settings
from tests.models.measures.planted_codes import plant


def planted() -> tuple[Autoencoder, Tensor]:
    """Three latents: on for one image of eight, always nearly on, never on."""
    gamma = torch.full((8, 3), 0.01)
    gamma[3, 0], gamma[:, 1] = 0.6, 0.49
    return plant(gamma, mu=torch.arange(24.0).view(8, 3))


def test_a_latent_is_on_if_its_gate_is_more_likely_open_than_not_for_an_image() -> None:
    model, images = planted()
    assert find_latents_on(model, images).tolist() == [True, False, False]
    assert find_latents_on(model, images[4:]).tolist() == [False, False, False]


def test_mu_on_and_mu_off_share_mu() -> None:
    model, images = planted()
    inputs = make_control_inputs(model, model, torch.tensor([True, False, False]), seed=0)(model.to_pixels(images))
    mu = torch.arange(24.0).view(8, 3)
    assert torch.equal(inputs["mu_on"], mu * torch.tensor([1, 0, 0]))
    assert torch.equal(inputs["mu_off"], mu * torch.tensor([0, 1, 1]))
    assert torch.equal(inputs["untrained_mu"], mu)
    assert "hidden_projection" not in inputs  # the planted encoder has no hidden layer


@pytest.mark.parametrize(("is_on", "left"), [(True, "mu_on"), (False, "mu_off")])
def test_without_latents_there_is_no_control(is_on: bool, left: str) -> None:
    model, images = planted()
    inputs = make_control_inputs(model, model, torch.full((3,), is_on), seed=0)(model.to_pixels(images))
    assert {"mu_on", "mu_off"} & inputs.keys() == {left}


def test_the_projection_is_linear_in_the_last_hidden_layer_and_keeps_lengths_in_the_mean() -> None:
    model = build_model(make_settings("vsc_sigmoid", latent_dim=500, hidden=(30, 20)), SMALL)
    x = model.to_pixels(make_images(40, SMALL))
    with torch.no_grad():
        made = make_control_inputs(model, model, torch.ones(500) > 0, seed=0)(x)["hidden_projection"]
        first, second, _ = model.encoder.layers
        hidden = second(first(x.flatten(1)).relu()).relu()
    assert made.shape == (40, 500)
    solution = torch.linalg.lstsq(hidden, made).solution  # (20, 500)
    torch.testing.assert_close(hidden @ solution, made, rtol=1e-3, atol=1e-4)
    ratio = float((made.norm(dim=1) / hidden.norm(dim=1)).mean())
    assert ratio == pytest.approx(1, abs=4 / math.sqrt(2 * 500))
    other = make_control_inputs(model, model, torch.ones(500) > 0, seed=1)(x)["hidden_projection"]
    assert not torch.allclose(other, made)


def run(model: Autoencoder, untrained: Autoencoder, images: Tensor, labels: Tensor) -> dict[str, float]:
    split = images[:-60], labels[:-60], images[-60:], labels[-60:]
    return run_control_probes(model, *split, untrained=untrained, seed=3, width=8)


@pytest.mark.parametrize("kind", ["vae", "vsc_exp_relu"])
def test_every_control_has_the_numbers_of_the_probes(kind: str) -> None:
    settings = make_settings(kind, latent_dim=4)
    model, images = build_model(settings, SMALL), make_images(160, SMALL)
    if kind != "vae":
        with torch.no_grad():
            model.encoder.layers[-1].bias[-4:] = torch.tensor([9.0, -9, -9, -9])
    found = run(model, build_model(settings, SMALL), images, torch.arange(160) % 5)
    of_gates = tuple(name for name in CONTROL_METRICS if "_mu_on_" in name or "_mu_off_" in name)
    expected = set(CONTROL_METRICS) - ({"probe/num_on", *of_gates} if kind == "vae" else set())
    assert found.keys() == expected
    assert found.get("probe/num_on", 1) == 1
    assert all(0 <= value <= 1 for name, value in found.items() if name.endswith("accuracy"))


@pytest.mark.parametrize("kind", ["vae", "vsc_sigmoid"])
def test_of_an_untrained_model_the_control_is_what_mu_is(kind: str) -> None:
    """The same probes, in the same order of images: only the input differs."""
    model, images, labels = build_model(make_settings(kind), SMALL), make_images(160, SMALL), torch.arange(160) % 5
    found = run(model, model, images, labels)
    plain = run_probes(model, images[:-60], labels[:-60], images[-60:], labels[-60:], seed=3, width=8)
    for name, value in found.items():
        if "_untrained_mu_" in name:
            assert value == plain[name.replace("_untrained_mu_", "_mu_")], name


def test_a_class_that_stands_in_a_closed_latent_is_read_from_mu_off_alone() -> None:
    labels = torch.arange(250) % 5
    gamma = torch.tensor([[1.0, 0.01, 0.01]]).expand(250, 3).clone()
    gamma[7, 2] = 1.0  # a training image
    mu = torch.stack([torch.zeros(250), labels.float(), torch.zeros(250)], 1)
    model, images = plant(gamma, mu)
    found = run(model, model, images, labels)
    assert found["probe/num_on"] == 2
    for probe in ("linear", "mlp", "knn"):
        assert found[f"probe/{probe}_mu_off_all_accuracy"] > 0.95, probe
        assert found[f"probe/{probe}_mu_on_all_accuracy"] < 0.5, probe
