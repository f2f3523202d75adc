"""The importance-weighted bound with many samples, beside looser bounds of the same images."""

import math

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.measures import inference_gap
from models.measures.bounds import IW_BATCH_SIZE, IW_SAMPLES_AT_ONCE, compute_bound, compute_iw_bound
from models.measures.inference_gap import compute_inference_gap
from models.training.state import TrainState
from tests.models.cases import KINDS, SMALL, make_generator, make_images, make_settings


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_gap, "NUM_SAMPLES", 400)


def test_the_gaps_lead_to_the_bounds_of_the_same_images(trained: TrainState, test_digits: Tensor) -> None:
    model = trained.model
    found = compute_inference_gap(model, test_digits, make_generator(0))
    bound = compute_bound(model, test_digits, make_generator(1), num_samples=100)
    few = compute_iw_bound(model, test_digits, make_generator(2), num_samples=50)
    many = compute_iw_bound(model, test_digits, make_generator(3), num_samples=400)
    assert found.iw_bound == pytest.approx(many, abs=0.05)
    assert found.iw_bound - found.gap_to_elbo == pytest.approx(-float(bound.rate + bound.distortion), abs=0.05)
    assert found.iw_bound - found.gap_to_few == pytest.approx(few, abs=0.05)
    assert 0 < found.gap_to_few < found.gap_to_elbo


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_gap_where_the_posterior_is_exact(kind: str) -> None:
    """A decoder that ignores the code, and a posterior that is the prior: every weight is p(x)."""
    model, images = build_model(make_settings(kind), SMALL), make_images(20, SMALL)
    alpha = make_settings(kind).alpha
    with torch.no_grad():
        last = model.encoder.layers[-1]
        last.weight.zero_()
        last.bias.zero_()
        if alpha is not None:
            is_sigmoid = model.latent.gamma_link == "sigmoid"
            last.bias[6:] = math.log(alpha / (1 - alpha)) if is_sigmoid else math.log(alpha)
        model.decoder.layers[0].weight.zero_()
    found = compute_inference_gap(model, images, make_generator(0))
    assert found.gap_to_elbo == pytest.approx(0, abs=1e-4)
    assert found.gap_to_few == pytest.approx(0, abs=1e-4)
    assert found.iw_bound == pytest.approx(-float(compute_bound(model, images, make_generator(0)).distortion), rel=1e-5)


def test_of_many_images_some_are_taken_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = build_model(make_settings("vsc_sigmoid"), SMALL), make_images(60, SMALL)
    expected = compute_inference_gap(model, images[::6], make_generator(0))
    monkeypatch.setattr(inference_gap, "NUM_IMAGES", 10)
    assert compute_inference_gap(model, images, make_generator(0)) == expected


def test_memory_does_not_grow_with_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = build_model(make_settings("vsc_sigmoid"), SMALL), make_images(60, SMALL)
    sizes: list[int] = []
    model.decoder.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[:-1].numel()))
    compute_inference_gap(model, images, make_generator(0))
    assert sum(sizes) == 60 * 400
    assert max(sizes) == IW_BATCH_SIZE * IW_SAMPLES_AT_ONCE
