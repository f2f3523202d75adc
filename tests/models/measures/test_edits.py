"""Edits of codes, on decoders whose pictures are known, and on trained models."""

import time

import pytest
import torch
from torch import Tensor, nn

from harness.datasets import load_dataset
from models.autoencoder import Autoencoder
from models.build import build_model
from models.measures import edits
from models.measures.edits import (
    find_largest,
    measure_edits,
    move_entries,
    scale_entries,
    share_changed,
    train_pixel_probe,
)
from models.measures.metric_names import EDIT_METRICS
from models.training.state import TrainState
from tests.models.cases import MNIST, make_generator, make_images, make_settings

LINE = (1, 1, 16)

Labelled = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """Digits: training images and labels, test images and labels."""
    dataset = load_dataset("digits")
    arrays = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    images, labels, test_images, test_labels = map(torch.tensor, arrays)
    return images, labels, test_images, test_labels


class Halves(nn.Module):
    """Lights the left half of 16 pixels by latent 0 and the right by latent 1, where they are above zero."""

    def forward(self, z: Tensor) -> Tensor:  # (..., 2) -> (..., 1, 1, LINE)
        return torch.where(z > 0, 10.0, -10.0).repeat_interleave(8, -1)[..., None, None, :]


class Codes(nn.Module):
    """An encoder of a VAE that gives every image the same code, without noise."""

    def __init__(self, code: list[float]) -> None:
        super().__init__()
        self.code = torch.tensor([code, [-80.0] * len(code)])

    def forward(self, x: Tensor) -> Tensor:
        return self.code.expand(len(x), -1, -1)


def make_halves(code: list[float]) -> Autoencoder:
    model = build_model(make_settings("vae", latent_dim=2), LINE)
    model.encoder, model.decoder = Codes(code), Halves()
    return model


def light_halves(count: int) -> tuple[Tensor, Tensor]:
    """Images whose left half is lit (class 1) or dark (class 0); the right half tells nothing."""
    lit = torch.randint(0, 2, (count, 2), generator=make_generator(0))
    return (255 * lit.repeat_interleave(8, -1)).to(torch.uint8).view(-1, *LINE), lit[:, 0]


@pytest.mark.parametrize(("code", "kept"), [([3.0, 2.0], 0.0), ([2.0, 3.0], 1.0)])
def test_a_class_is_lost_with_the_latent_that_holds_it(code: list[float], kept: float) -> None:
    images, labels = light_halves(200)
    metrics = measure_edits(make_halves(code), images, labels, images, labels, seed=0)
    assert metrics["edit/pixel_probe_accuracy"] == 1
    taught_wrong = measure_edits(make_halves(code), images, 1 - labels, images, labels, seed=0)
    assert taught_wrong["edit/pixel_probe_accuracy"] == 0  # it learns from the training images alone
    assert metrics["edit/class_kept"] == kept
    # Both halves were inked before, and either edit darkens one.
    assert metrics["edit/changed_pixels"] == pytest.approx(0.5)
    assert metrics["edit/changed_pixels_other"] == pytest.approx(0.5)
    assert metrics["edit/changed_pixels_beyond_other"] == pytest.approx(0)
    # The other latent holds the class where this one does not.
    assert metrics["edit/class_kept_other"] == 1 - kept
    assert metrics["edit/class_kept_beyond_other"] == 2 * kept - 1


class Ramp(nn.Module):
    """Pixel i of 16 is lit where latent 0 is above i / 4, or latent 1 above 1."""

    def forward(self, z: Tensor) -> Tensor:  # (..., 2) -> (..., 1, 1, LINE)
        lit = (z[..., :1] > torch.arange(16) / 4) | (z[..., 1:] > 1)
        return torch.where(lit, 10.0, -10.0)[..., None, None, :]


def test_another_latent_is_moved_as_far_as_the_largest() -> None:
    images, labels = light_halves(40)
    model = make_halves([2.0, -1.5])
    model.decoder = Ramp()
    # By 3, the largest from 2 to -1, which darkens all 8 lit pixels; the other from -1.5 to 1.5, which lights the rest.
    metrics = measure_edits(model, images, labels, images, labels, seed=0)
    assert metrics["edit/changed_pixels"] == 1
    assert metrics["edit/changed_pixels_beyond_other"] == 1 - 8 / 16


def test_all_metrics_of_a_trained_model_are_shares(trained: TrainState, labelled: Labelled) -> None:
    metrics = measure_edits(trained.model, *labelled, seed=5)
    assert set(metrics) == set(EDIT_METRICS)
    beyond = [metrics.pop(name) for name in EDIT_METRICS if name.endswith("_beyond_other")]  # differences of two
    assert all(0 <= value <= 1 for value in metrics.values())
    assert all(-1 <= value <= 1 for value in beyond)
    assert metrics["edit/pixel_probe_accuracy"] > 0.9
    assert metrics["edit/changed_pixels"] > 0


def test_they_are_the_same_again_and_the_probe_with_any_seed(trained: TrainState, labelled: Labelled) -> None:
    first, again, other = (measure_edits(trained.model, *labelled, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first["edit/pixel_probe_accuracy"] == other["edit/pixel_probe_accuracy"]
    assert first["edit/changed_pixels"] != other["edit/changed_pixels"]


def test_classes_are_those_that_there_are_from_whichever_number_on(trained: TrainState, labelled: Labelled) -> None:
    images, labels, test_images, test_labels = labelled
    from_one = measure_edits(trained.model, images, labels + 1, test_images, test_labels + 1, seed=5)
    assert from_one == measure_edits(trained.model, *labelled, seed=5)


def test_one_latent_has_no_other() -> None:
    model = build_model(make_settings("vae", latent_dim=1), LINE)
    images, labels = light_halves(40)
    metrics = measure_edits(model, images, labels, images, labels, seed=0)
    assert set(EDIT_METRICS) - set(metrics) == {name for name in EDIT_METRICS if "other" in name}


def test_empty_codes_have_no_entry_to_edit() -> None:
    model = build_model(make_settings("vsc_sigmoid", latent_dim=4), LINE)
    with torch.no_grad():
        model.encoder.layers[-1].weight.zero_()
        model.encoder.layers[-1].bias[8:] = -1e3
    images, labels = light_halves(40)
    metrics = measure_edits(model, images, labels, images, labels, seed=0)
    assert list(metrics) == ["edit/pixel_probe_accuracy"]


def test_the_largest_entry_is_that_farthest_from_zero() -> None:
    codes = torch.tensor([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    assert find_largest(codes).tolist() == [1, -1, 1]


def test_one_entry_of_each_code_is_scaled() -> None:
    codes = torch.tensor([[1.0, -3.0], [2.0, 0.0], [4.0, 5.0]])
    assert scale_entries(codes, torch.tensor([1, -1, 0]), -0.5).tolist() == [[1, 1.5], [2, 0], [-2, 5]]


def test_one_entry_of_each_code_is_moved_towards_zero_and_beyond() -> None:
    codes, latents = torch.tensor([[1.0, -3.0], [2.0, 0.0], [4.0, 5.0]]), torch.tensor([1, -1, 0])
    assert move_entries(codes, latents, torch.tensor([4.5, 9.0, 1.0])).tolist() == [[1, 1.5], [2, 0], [3, 5]]


def test_another_latent_is_active_and_not_the_largest_and_each_has_its_chance() -> None:
    codes = torch.tensor([5.0, 1.0, 0.0, -1.0, 0.1]).repeat(3000, 1)
    others = edits._draw_another(codes, find_largest(codes), make_generator(0))
    shares = torch.bincount(others, minlength=5) / 3000
    assert shares.tolist() == pytest.approx([0, 1 / 3, 0, 1 / 3, 1 / 3], abs=0.04)


def test_changed_pixels_are_counted_among_the_inked() -> None:
    before = torch.tensor([[0.0, 0.5, 0.9, 0.05], [0.0, 0.0, 0.0, 0.0]])
    after = torch.tensor([[0.3, 0.55, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert share_changed(before, after).tolist() == pytest.approx([2 / 3, 0])


def test_the_probe_is_a_linear_softmax_classifier_with_a_bias() -> None:
    x = torch.tensor([[0.0], [1.0]]).repeat(200, 1)
    labels = torch.tensor([0, 1]).repeat(200)
    weights = train_pixel_probe(x, labels)
    assert weights.shape == (2, 2)
    assert (edits._classify(x, weights) == labels).all()


def test_a_trial_on_mnist_takes_three_seconds_at_most() -> None:
    model = build_model(make_settings("vsc_sigmoid", latent_dim=200, hidden=(400,)), MNIST)
    images, labels = make_images(6000, MNIST), torch.arange(6000) % 10
    start = time.process_time()
    measure_edits(model, images, labels, images, labels, seed=0)
    assert time.process_time() - start <= 3
