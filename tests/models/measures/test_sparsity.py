"""Sparsity that is collapse and sparsity that is not, against closed forms."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.measures import per_latent, sparsity
from models.measures.metric_names import SPARSITY_METRICS
from models.measures.sparsity import compute_sparsity
from models.training.state import TrainState
from tests.models.cases import DIGITS, make_generator, make_settings
from tests.models.measures.planted_codes import ALPHA, plant

NUM_IMAGES = 200
IDLE = torch.full((NUM_IMAGES,), ALPHA)
ON = torch.ones(NUM_IMAGES)
BIT = (torch.arange(NUM_IMAGES) % 2).float()


def measure(*gates: Tensor, mu: list[float]) -> dict[str, float]:
    """Gates are (N,) gammas, one tensor a latent; mu is the mean of its slab."""
    model, images = plant(torch.stack(gates, 1), mu=torch.tensor(mu))
    return compute_sparsity(model, images, make_generator(0))


def test_a_collapsed_code_has_few_informative_latents_all_always_on_and_silent_gates() -> None:
    found = measure(ON, ON, IDLE, IDLE, IDLE, mu=[2.0, 2.0, 0, 0, 0])
    assert found["num_informative"] == 2
    assert found["always_on_fraction"] == 1
    assert found["gate_information"] == pytest.approx(0, abs=1e-6)
    assert found["num_nonzero"] == pytest.approx(2 + 3 * ALPHA)
    # As likely in two samples of one image as in two images.
    assert found["support_overlap"] == pytest.approx(found["support_overlap_same_image"], abs=0.05)


def test_a_sparse_code_has_informative_latents_none_always_on_and_gates_that_tell_of_the_image() -> None:
    found = measure(BIT, 1 - BIT, IDLE, mu=[2.0, 2.0, 0])
    assert (found["num_informative"], found["always_on_fraction"]) == (2, 0)
    assert found["gate_information"] == pytest.approx(2 * math.log(2), abs=1e-6)
    assert found["num_nonzero"] == pytest.approx(1 + ALPHA)
    assert found["support_overlap_same_image"] > found["support_overlap"] + 0.3


@pytest.mark.parametrize(("gamma", "share"), [(0.94, 0), (0.96, 1)])
def test_a_latent_is_always_on_from_a_mean_gamma_of_95_percent(gamma: float, share: float) -> None:
    assert measure(gamma * ON, ON, mu=[2.0, 0.0])["always_on_fraction"] == (share + 1) / 2


@pytest.mark.parametrize(("kl", "num"), [(0.049, 0), (0.051, 1)])
def test_a_latent_is_informative_from_a_mean_kl_of_a_twentieth_of_a_nat(kl: float, num: int) -> None:
    model, images = plant(None, mu=torch.tensor([[0.0, math.sqrt(2 * kl)]] * 5))
    assert compute_sparsity(model, images, make_generator(0))["num_informative"] == num


def test_of_latents_at_the_prior_none_is_informative_and_no_share_of_them_is_always_on() -> None:
    found = measure(IDLE, IDLE, mu=[0.0, 0.0])
    assert found["num_informative"] == 0
    assert math.isnan(found["always_on_fraction"])


def test_the_overlap_of_supports_is_the_mean_jaccard_index_of_all_pairs_of_images() -> None:
    gamma = (torch.rand(120, 4, generator=make_generator(3)) < 0.4).float()
    sets = [set(torch.nonzero(row).flatten().tolist()) for row in gamma]
    assert set() in sets
    pairs = [len(a & b) / len(a | b) if a | b else 1.0 for a, b in itertools.combinations(sets, 2)]
    model, images = plant(gamma)
    found = compute_sparsity(model, images, make_generator(0))
    assert found["support_overlap"] == pytest.approx(sum(pairs) / len(pairs), rel=1e-6)
    assert found["support_overlap_same_image"] == 1


def test_gates_that_ignore_the_image_overlap_as_often_in_two_images_as_in_one() -> None:
    """Of one latent both samples or neither are on with probability p^2 + (1 - p)^2, and the index is 1, else 0."""
    found = measure(IDLE, mu=[0.0])
    expected = ALPHA**2 + (1 - ALPHA) ** 2
    assert found["support_overlap"] == pytest.approx(expected, abs=0.05)
    assert found["support_overlap_same_image"] == pytest.approx(expected, abs=0.12)


def test_of_many_images_some_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    gamma = (torch.rand(250, 5, generator=make_generator(3)) < 0.4).float()
    model, images = plant(gamma)
    expected = compute_sparsity(model, images[::5], make_generator(0))["support_overlap"]
    monkeypatch.setattr(sparsity, "NUM_OVERLAP_IMAGES", 50)
    monkeypatch.setattr(sparsity, "BATCH_SIZE", 7)
    assert compute_sparsity(model, images, make_generator(0))["support_overlap"] == pytest.approx(expected, rel=1e-6)


def test_a_model_without_gates_has_none_of_their_measures(test_digits: Tensor) -> None:
    of = {
        kind: compute_sparsity(build_model(make_settings(kind), DIGITS), test_digits, make_generator(0))
        for kind in ("vae", "vsc_exp_relu")
    }
    assert {f"code/{name}" for name in of["vsc_exp_relu"]} == set(SPARSITY_METRICS)
    gates = {"num_nonzero", "always_on_fraction", "gate_information", "support_overlap", "support_overlap_same_image"}
    assert of["vsc_exp_relu"].keys() - of["vae"].keys() == gates


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_give_the_same_up_to_the_noise_of_samples(
    size: int, trained: TrainState, test_digits: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = compute_sparsity(trained.model, test_digits, make_generator(0))
    for module in (sparsity, per_latent):
        monkeypatch.setattr(module, "BATCH_SIZE", size)
    found = compute_sparsity(trained.model, test_digits, make_generator(0))
    drawn = ("nonzero_fraction", "hoyer", "support_overlap", "support_overlap_same_image")
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=0.06 if name in drawn else 1e-5), name
