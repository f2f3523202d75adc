"""The evaluations disentanglement and dci of a trial: what they measure, from which images, and how far they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.datasets import Dataset, make_dataset
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import EVALUATION_METRICS, FACTOR_EVALUATIONS, Measures
from harness.worker import evaluator
from harness.worker.images import Images
from harness.worker.trial_run import run_trial
from models.build import build_model
from models.pixels import binarise_once
from models.settings import TrialSettings
from tests.models.measures.disentanglement.few_points import take_few_points

CLASSES = np.stack(np.meshgrid(np.arange(4), np.arange(4), np.arange(2), indexing="ij"), -1).reshape(-1, 3)


@pytest.fixture(scope="module")
def squares() -> Dataset:
    """A white pixel at each place of a grid, in two shades; every image ten times."""
    images = np.zeros((len(CLASSES), 1, 4, 4), np.uint8)
    images[np.arange(len(CLASSES)), 0, CLASSES[:, 0], CLASSES[:, 1]] = 155 + 100 * CLASSES[:, 2]
    images, labels = np.tile(images, (10, 1, 1, 1)), np.tile(CLASSES[:, 2].astype(np.uint8), 10)
    factors = {"factors": ("row", "column", "shade"), "train_factors": np.tile(CLASSES, (10, 1))}
    return make_dataset("squares", images, labels, images[:20].copy(), labels[:20].copy(), **factors)


def test_a_trial_measures_every_score_from_one_table_of_codes_and_its_log_says_how_far(
    squares: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_few_points(monkeypatch)
    tables = []

    def count(*args: Any) -> Any:
        tables.append(make(*args))
        return tables[-1]

    make = evaluator.make_code_table
    monkeypatch.setattr(evaluator, "make_code_table", count)
    settings = TrialSettings(model="vae", latent_dim=3, hidden=(8,), epochs=2)
    trial = Trial(settings, squares.name, squares.content_hash)
    measures = Measures(FACTOR_EVALUATIONS, iw_samples=3, checkpoint_every=1)
    list(run_trial(trial, measures, squares, tmp_path))
    (table,) = tables
    assert table.codes.shape == (320, 3)
    np.testing.assert_array_equal(table.factors, np.tile(CLASSES, (10, 1)))

    result = TrialFolder(tmp_path, trial).read_result()
    assert result is not None
    assert result.status == "finished", result.error
    assert set(result.metrics) == {name for own in FACTOR_EVALUATIONS for name in EVALUATION_METRICS[own]}
    assert result.metrics["disentanglement/num_images"] == 320
    assert result.metrics["disentanglement/factor_vae_ceiling"] == 1
    log = TrialFolder(tmp_path, trial).log.read_text()
    assert "dci of the factors, 3 latents: 3 of 3 factors done" in log


@pytest.mark.parametrize("is_binary", [True, False])
def test_codes_are_those_of_the_pixels_that_a_model_is_measured_on(is_binary: bool) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 1, 4, 4), dtype=np.uint8)
    labels, factors = np.zeros(64, np.uint8), np.stack([np.arange(64) % 4, np.arange(64) // 4], 1)
    held = {"factors": ("shade", "place"), "train_factors": factors}
    images = Images.of(make_dataset("grey", grey, labels, grey, labels, **held), 0, "cpu", is_binary=is_binary)
    settings = TrialSettings(
        model="vae", latent_dim=3, hidden=(8,), epochs=1, binarisation="static" if is_binary else "none"
    )
    model = build_model(settings, images.shape)
    measures = Measures(FACTOR_EVALUATIONS, iw_samples=3, checkpoint_every=1)
    table = evaluator.Evaluator(model, images, measures, settings).code_table
    pixels = torch.from_numpy(grey)
    pixels = binarise_once(pixels, "train") if is_binary else pixels
    with torch.no_grad():
        means = model.posterior(model.to_pixels(pixels)).mean
    np.testing.assert_allclose(table.codes, means.numpy(), atol=1e-6)
    np.testing.assert_array_equal(table.factors, factors)


def test_factors_stay_beside_their_images_where_some_are_held_out(squares: Dataset) -> None:
    images = Images.of(squares, 60, "cpu")
    assert images.train_factors is not None
    assert len(images.train) == len(images.train_factors) == 260
    for image, (row, column, shade) in zip(images.train.numpy(), images.train_factors, strict=True):
        assert image[0, row, column] == image.sum() == 155 + 100 * shade
