"""Bias and noise of the gates' gradients, beside closed forms of one latent."""

import math

import pytest
import torch
from torch import Tensor, nn

from models.autoencoder import Autoencoder
from models.build import build_model
from models.latents.spike_and_slab import SpikeAndSlabLatent
from models.likelihoods import Likelihood
from models.measures.gate_gradients import measure_gate_gradients
from models.measures.metric_names import GRADIENT_METRICS
from tests.models.cases import SMALL, make_generator, make_images, make_settings

SLAB, SHARPNESS = 1.5, 50.0


class Heads(nn.Module):
    """The same heads for every image: a slab at 1.5 without spread, and gamma."""

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.heads = torch.tensor([SLAB, -60.0, math.log(gamma / (1 - gamma))])

    def forward(self, x: Tensor) -> Tensor:
        return self.heads.view(1, 3, 1).expand(len(x), 3, 1)


class Power(Likelihood):
    """A distortion of z to a power."""

    def __init__(self, power: float) -> None:
        self.power = power

    def nats(self, outputs: Tensor, x: Tensor) -> Tensor:
        return (outputs**self.power).sum(-1)

    def picture(self, outputs: Tensor) -> Tensor:
        raise NotImplementedError


def measure(gamma: float, power: float, num_draws: int = 400) -> dict[str, float]:
    latent = SpikeAndSlabLatent(1, alpha=0.2, gamma_link="sigmoid")
    model = Autoencoder(Heads(gamma), nn.Identity(), latent, Power(power))
    return measure_gate_gradients(
        model, make_images(100, SMALL), make_generator(0), sharpness=SHARPNESS, step=0, num_draws=num_draws
    )


@pytest.mark.parametrize("gamma", [0.02, 0.5, 0.7])
@pytest.mark.parametrize("power", [1.0, 3.0])
def test_they_are_those_of_one_latent(gamma: float, power: float) -> None:
    """The gate of uniform noise u is g(u), the distortion f(z) = z^power, and its true gradient by gamma f(s) - f(0).

    Relaxed: the mean over u of f'(g s) s g' is f(g(1) s) - f(g(0) s). Straight-through: that of f'(s) s g' where the
    gate is open, u > 1 - gamma, and of f'(0) s g' elsewhere. DisARM: not zero in 2 min(gamma, 1 - gamma) of the draws.
    """
    measured = measure(gamma, power)
    low, high = (1 / (1 + math.exp(-SHARPNESS * (u - 1 + gamma))) for u in (0, 1))
    relaxed = abs(high**power - low**power - 1)
    when_closed = 0.5 - low if power == 1 else 0.0  # f'(0) = 0 but for power 1
    when_open = power * (high - 0.5) + when_closed
    for name, bias in (("relaxed", relaxed), ("straight_through", abs(when_open - 1))):
        found = measured[f"{name}_bias"]
        assert found == pytest.approx(bias, abs=0.08) or (math.isnan(found) and bias < 0.08), "lost in the noise"
    assert measured["disarm_noise"] == pytest.approx(math.sqrt(1 / (2 * min(gamma, 1 - gamma)) - 1), rel=0.05, abs=0.01)


def test_an_estimator_without_noise_has_none_and_a_trained_one_is_not_changed() -> None:
    model = build_model(make_settings("vsc_straight_through"), SMALL)
    before = model.latent.estimator
    images = make_images(20, SMALL)
    measured = measure_gate_gradients(model, images, make_generator(0), sharpness=5.0, step=0, num_draws=50)
    assert model.latent.estimator == before
    assert set(measured) == {
        *("relaxed_bias", "straight_through_bias"),
        *("relaxed_noise", "straight_through_noise", "disarm_noise"),
    }
    assert {f"gradient/{name}" for name in measured} == set(GRADIENT_METRICS)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_same_seed_gives_the_same_and_a_model_without_gates_has_none() -> None:
    assert str(measure(0.3, 2.0, num_draws=20)) == str(measure(0.3, 2.0, num_draws=20))  # as NaN is not itself
    vae = build_model(make_settings("vae"), SMALL)
    assert measure_gate_gradients(vae, make_images(5, SMALL), make_generator(0), sharpness=50.0, step=0) == {}


def test_after_a_warm_up_they_are_those_without_one_and_within_it_those_of_other_slabs() -> None:
    def measure_at(step: int, *, warm_up_from: int, warm_up_to: int) -> dict[str, float]:
        settings = make_settings(
            "vsc_uai_paper", gamma_link="sigmoid", warm_up_from=warm_up_from, warm_up_to=warm_up_to
        )
        model, images = build_model(settings, SMALL), make_images(20, SMALL)
        return measure_gate_gradients(model, images, make_generator(0), sharpness=5.0, step=step, num_draws=50)

    without = measure_at(20, warm_up_from=0, warm_up_to=0)
    assert str(measure_at(20, warm_up_from=10, warm_up_to=20)) == str(without)  # as NaN is not itself
    assert measure_at(15, warm_up_from=10, warm_up_to=20)["disarm_noise"] != without["disarm_noise"]
