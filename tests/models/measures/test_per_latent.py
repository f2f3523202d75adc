"""What each latent does, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from models.measures import per_latent
from models.measures.bounds import compute_bound
from models.measures.per_latent import make_latent_arrays, measure_latents
from models.training.state import TrainState
from tests.models.cases import make_generator
from tests.models.measures.planted_codes import ALPHA, plant


def test_an_open_a_closed_and_an_idle_gate_tell_nothing_and_one_that_follows_a_fair_bit_log_2() -> None:
    on = (torch.arange(100) % 2).float()
    gamma = torch.stack([torch.ones(100), torch.zeros(100), torch.full((100,), ALPHA), on, 0.5 * on], 1)
    found = measure_latents(*plant(gamma))
    torch.testing.assert_close(found.slab_prob, torch.tensor([1, 0, ALPHA, 0.5, 0.25]).double(), rtol=0, atol=1e-7)
    entropy_of_a_quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    expected = torch.tensor([0, 0, 0, math.log(2), entropy_of_a_quarter - 0.5 * math.log(2)]).double()
    torch.testing.assert_close(found.gate_information, expected, rtol=0, atol=1e-6)
    assert (found.gate_information >= 0).all()


def test_the_kl_of_a_latent_is_that_of_its_gate_plus_gamma_times_that_of_its_slab() -> None:
    gamma = torch.tensor([[ALPHA, 0.9, ALPHA], [ALPHA, 0.1, ALPHA]])
    found = measure_latents(*plant(gamma, mu=torch.tensor([0.0, 0.0, 2.0])))
    gate = [g * math.log(g / ALPHA) + (1 - g) * math.log((1 - g) / (1 - ALPHA)) for g in (0.9, 0.1)]
    assert found.kl.tolist() == pytest.approx([0, sum(gate) / 2, ALPHA * 2.0], abs=1e-6)


def test_a_gaussian_latent_is_always_on_and_has_the_kl_of_its_mean() -> None:
    found = measure_latents(*plant(None, mu=torch.tensor([[0.0, 1.0], [0.0, 3.0]])))
    assert found.slab_prob.tolist() == [1, 1]
    assert found.gate_information.tolist() == [0, 0]
    assert found.kl.tolist() == pytest.approx([0, (0.5 + 4.5) / 2])


def test_the_latents_share_the_rate(trained: TrainState, test_digits: Tensor) -> None:
    rate = float(compute_bound(trained.model, test_digits, make_generator(0)).rate)
    assert float(measure_latents(trained.model, test_digits).kl.sum()) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_give_the_same(
    size: int, trained: TrainState, test_digits: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measure_latents(trained.model, test_digits)
    monkeypatch.setattr(per_latent, "BATCH_SIZE", size)
    for found, value in zip(measure_latents(trained.model, test_digits), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)


def test_a_kl_without_a_closed_form_is_left_out(
    trained_vsc: TrainState, test_digits: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(q: Distribution, p: Distribution) -> Tensor:
        raise NotImplementedError

    monkeypatch.setattr(per_latent, "kl_divergence", refuse)
    found = measure_latents(trained_vsc.model, test_digits)
    assert found.kl.isnan().all()
    assert found.gate_information.isfinite().all()
    assert "kl" not in make_latent_arrays(trained_vsc.model, test_digits, torch.zeros(len(test_digits)))


def test_the_gates_of_each_class_are_told_apart() -> None:
    labels = torch.tensor([7, 2, 2, 7])
    gamma = torch.tensor([[1, 0.5], [0, 0.5], [0.5, 0.5], [1, 0.5]])
    model, images = plant(gamma)
    arrays = make_latent_arrays(model, images, labels)
    assert arrays["classes"].tolist() == [2, 7]
    np.testing.assert_allclose(arrays["slab_prob_by_class"], [[0.25, 0.5], [1, 0.5]], atol=1e-7)
    np.testing.assert_allclose(arrays["slab_prob"], [0.625, 0.5], atol=1e-7)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        **dict.fromkeys(["slab_prob", "kl", "gate_information"], (2,)),
        "classes": (2,),
        "slab_prob_by_class": (2, 2),
    }
