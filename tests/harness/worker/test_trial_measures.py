"""Which images a trial is trained on and measured on, and what measuring changes."""

import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from harness.datasets import Dataset
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import ARRAY_EVALUATIONS, EVALUATION_METRICS, TRAIN_METRICS, VALIDATION_METRICS, Evaluation
from harness.worker import evaluator as evaluations
from harness.worker import trial_run as trial_module
from harness.worker.images import Images
from harness.worker.trial_run import run_trial
from models.measures.bounds import compute_bound
from models.training.state import init_state
from tests.harness.worker.tiny_trials import (
    ALL,
    EPOCHS,
    NONE,
    NUM_TEST,
    NUM_TRAIN,
    STEPS,
    Fits,
    make_trial,
    result_of,
    run,
    tensors_of,
    untimed,
)
from tests.models.cases import assert_same_tensors

# Images


def sorted_images(images: torch.Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in images)


def test_validation_images_are_taken_out_of_the_training_images(dataset: Dataset) -> None:
    images = Images.of(dataset, 50, "cpu")
    assert images.validation is not None
    assert (len(images.train), len(images.validation), len(images.test)) == (NUM_TRAIN - 50, 50, NUM_TEST)
    together = sorted_images(torch.cat([images.train, images.validation]).flatten(1))
    assert together == sorted_images(torch.tensor(dataset.train_images).flatten(1))
    assert torch.equal(images.test, torch.tensor(dataset.test_images))
    assert images.shape == (1, 8, 8)
    again = Images.of(dataset, 50, "cpu")
    assert again.validation is not None
    assert torch.equal(again.validation, images.validation)


def test_without_validation_all_training_images_are_trained_on_in_order(dataset: Dataset) -> None:
    images = Images.of(dataset, 0, "cpu")
    assert images.validation is None
    assert torch.equal(images.train, torch.tensor(dataset.train_images))


def test_with_binary_pixels_what_is_measured_is_black_or_white_the_same_for_all_trials(
    dataset: Dataset, tmp_path: Path
) -> None:
    binary, grey = (Images.of(dataset, 50, "cpu", is_binary=is_binary) for is_binary in (True, False))
    assert torch.equal(binary.train, grey.train)  # which the trainer binarises
    assert binary.validation is not None
    for measured in (binary.test, binary.validation, binary.labelled[0]):
        assert set(measured.unique().tolist()) == {0, 255}
    assert torch.equal(binary.test, Images.of(dataset, 0, "cpu", is_binary=True).test)
    only_elbo = dataclasses.replace(NONE, evaluate=("elbo",))
    floors = []
    for binarisation in ("none", "static"):
        trial = make_trial(dataset, "vae", epochs=1, binarisation=binarisation)
        floors.append(run(trial, dataset, tmp_path / binarisation, only_elbo)[-1]["test/entropy_floor"])
    assert floors[0] > 1
    assert floors[1] == 0


def test_held_out_images_are_not_trained_on_and_give_metrics_of_their_own(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    _, rows = whole["vsc"]
    found = run(make_trial(dataset, num_validation=50), dataset, tmp_path, NONE)
    (seen,) = fits.images
    assert torch.equal(seen, Images.of(dataset, 50, "cpu").train)
    assert all(set(VALIDATION_METRICS) <= row.keys() for row in found)
    assert all(
        row["val/loss"] != row["train/loss"] != other["train/loss"] for row, other in zip(found, rows, strict=True)
    )
    assert all(row["val/elbo"] == pytest.approx(-row["val/rate"] - row["val/distortion"]) for row in found)
    assert all(0 < row["val/nonzero_fraction"] < 1 for row in found)


def test_metrics_are_of_the_images_they_name(dataset: Dataset, tmp_path: Path) -> None:
    trial = make_trial(dataset)
    rows = run(trial, dataset, tmp_path / "a", NONE)
    blank = dataclasses.replace(dataset, test_images=np.zeros_like(dataset.test_images))
    blank_rows = run(trial, blank, tmp_path / "elsewhere" / "b", NONE)
    for row, other in zip(rows, blank_rows, strict=True):
        assert row["test/loss"] != other["test/loss"]
        assert all(row[name] == other[name] for name in TRAIN_METRICS)


def test_where_images_are_held_out_the_test_images_are_looked_at_once_at_the_end(
    dataset: Dataset, tmp_path: Path
) -> None:
    trial = make_trial(dataset, num_validation=50)
    rows = run(trial, dataset, tmp_path / "a")
    blank = dataclasses.replace(dataset, test_images=np.zeros_like(dataset.test_images))
    blank_rows = run(trial, blank, tmp_path / "elsewhere" / "b")
    assert untimed(rows[:-1]) == untimed(blank_rows[:-1])
    assert not any(name.startswith("test/") for row in rows[:-1] for name in row)
    assert rows[-1]["test/elbo"] != blank_rows[-1]["test/elbo"]


# Evaluations


def test_what_is_evaluated_changes_neither_training_nor_other_metrics(
    whole: Any, dataset: Dataset, tmp_path: Path
) -> None:
    folder, rows = whole["vsc"]
    trial = make_trial(dataset)
    for evaluate in [(), ("elbo",), ("iw_bound",), ("sparsity",), ("sparsity", "elbo")]:
        here = tmp_path / "-".join(["with", *evaluate])
        found = run(trial, dataset, here, dataclasses.replace(ALL, evaluate=evaluate))
        expected = {name for group in evaluate for name in EVALUATION_METRICS[group]}  # type: ignore[index]
        assert result_of(trial, here).metrics.keys() == expected
        assert all(row[name] == full[name] for row, full in zip(untimed(found), rows, strict=True) for name in row)
        assert_same_tensors(tensors_of(trial, here), tensors_of(trial, folder))


def test_an_evaluation_added_later_trains_nothing_and_keeps_the_others_bit_for_bit(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    folder, _ = whole["vsc"]
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("elbo",)))
    first = result_of(trial, tmp_path)
    fits.epochs.clear()
    run(trial, dataset, tmp_path)
    second = result_of(trial, tmp_path)
    assert fits.epochs == []
    assert second.evaluated == ALL.evaluated
    assert second.history == first.history
    assert {name: second.metrics[name] for name in first.metrics} == first.metrics
    assert second.metrics == result_of(trial, folder).metrics


def test_each_evaluation_measures_what_is_named_or_stores_arrays_and_one_that_does_neither_fails(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set(get_args(Evaluation))
    assert names == EVALUATION_METRICS.keys() == {*evaluations.MEASURES, *ARRAY_EVALUATIONS}
    trial, images = make_trial(dataset), Images.of(dataset, 0, "cpu")
    evaluator = evaluations.Evaluator(init_state(trial.settings, images.shape).model, images, NONE, trial.settings)
    for name in names - {*ARRAY_EVALUATIONS}:
        with pytest.raises(ValueError, match="stores no arrays"):
            evaluator.make_arrays(name)
    monkeypatch.setattr(evaluations, "MEASURES", {"elbo": lambda _: {"test/elbo": 1.0, "test/elbow": 2.0}})
    with pytest.raises(ValueError, match=r"harness/metrics\.py lacks test/elbow$"):
        evaluator.evaluate("elbo")
    monkeypatch.setattr(evaluations, "MEASURES", {})
    with pytest.raises(KeyError):
        evaluator.evaluate("elbo")


def test_what_was_measured_of_a_model_that_is_gone_is_measured_again(
    whole: Any, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a result was published by another machine, and its state was not."""
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("elbo",)))
    own, first = TrialFolder(tmp_path, trial), result_of(trial, tmp_path)
    own.write_result(dataclasses.replace(first, metrics=dict.fromkeys(first.metrics, -999.0)))
    for state in own.list_own_states():
        state.unlink()
    with monkeypatch.context() as patch:  # killed once the new model is stored, and before it is measured
        patch.setattr(evaluations, "compute_bound", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("elbo", "iw_bound")))
    assert len(own.list_own_states()) == 1
    run(trial, dataset, tmp_path)
    assert result_of(trial, tmp_path).metrics == result_of(trial, whole["vsc"][0]).metrics


def test_what_was_measured_of_another_model_is_measured_again_where_a_longer_trial_has_stored_this_one(
    dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    """As where a shorter trial was published by another machine, and the longer one is trained here."""
    shorter, longer = (make_trial(dataset, "vae", epochs=epochs) for epochs in (2, 4))
    only_elbo = dataclasses.replace(ALL, evaluate=("elbo",), checkpoint_every=2)
    run(shorter, dataset, tmp_path, only_elbo)
    own, first = TrialFolder(tmp_path, shorter), result_of(shorter, tmp_path)
    own.write_result(dataclasses.replace(first, metrics=dict.fromkeys(first.metrics, -999.0)))
    for state in own.list_own_states():
        state.unlink()
    run(longer, dataset, tmp_path, only_elbo)
    assert len(own.list_own_states()) == 1
    fits.epochs.clear()
    assert result_of(shorter, tmp_path).evaluated == first.evaluated, "it need not run again"
    run(shorter, dataset, tmp_path, dataclasses.replace(only_elbo, evaluate=("elbo", "iw_bound")))
    assert fits.epochs == []
    assert result_of(shorter, tmp_path).metrics.items() >= first.metrics.items()


def raise_interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_trial_began_when_a_process_first_took_it_up_however_often_it_resumes_or_is_measured(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(dataset, "vae", epochs=2)
    now = [1000.0]
    monkeypatch.setattr(trial_module.time, "time", lambda: now[0])
    events = run_trial(trial, NONE, dataset, tmp_path)
    next(events)
    events.close()  # stopped after its first epoch
    for now[0], measures in ((2000.0, NONE), (3000.0, dataclasses.replace(NONE, evaluate=("elbo",)))):
        run(trial, dataset, tmp_path, measures)
        assert (result_of(trial, tmp_path).began, result_of(trial, tmp_path).ended) == (1000.0, now[0])
        result = result_of(trial, tmp_path)
        assert result.span is not None
        assert now[0] - result.span[0] < 60  # the pauses are no part of what it took
    next(tmp_path.glob("trials/*/began-2.json")).unlink()  # as of an earlier version, whose result alone says so
    assert TrialFolder(tmp_path, trial).read_beginning() == 1000.0
    longer = make_trial(dataset, "vae", epochs=3)  # goes on from the same state, and is another trial
    run(longer, dataset, tmp_path, NONE)
    assert result_of(longer, tmp_path).began == 3000.0


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_meanwhile_changes_nothing_of_what_a_trial_took(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    now = [50_000.0]
    monkeypatch.setattr(trial_module.time, "time", lambda: now[0])
    trial = make_trial(dataset, "vae", epochs=2)
    for _ in run_trial(trial, NONE, dataset, tmp_path):
        now[0] = 50_000.0 + step
    result = result_of(trial, tmp_path)
    assert result.span is not None
    assert 0 < result.span[1] - result.span[0] < 60
    assert result.began == 50_000.0 <= result.span[1]


def test_the_number_of_samples_changes_the_importance_weighted_bound_only(
    whole: Any, dataset: Dataset, tmp_path: Path
) -> None:
    folder, _ = whole["vsc"]
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, iw_samples=9))
    few, many = result_of(trial, folder).metrics, result_of(trial, tmp_path).metrics
    assert {name for name in few if few[name] != many[name]} == {"test/iw_bound"}
    assert many["test/iw_bound"] > few["test/iw_bound"]


def test_the_bounds_of_the_end_are_means_over_ten_samples_hard_ones_and_relaxed_ones(
    whole: Any, dataset: Dataset
) -> None:
    folder, rows = whole["vsc"]
    trial, images = make_trial(dataset), Images.of(dataset, 0, "cpu")
    state = init_state(trial.settings, images.shape)
    state.load(tensors_of(trial, folder), epoch=EPOCHS, step=EPOCHS * STEPS)
    hard, relaxed = (
        compute_bound(
            state.model,
            images.test,
            evaluations.make_noise(trial.settings.seed, f"test/{name}", device="cpu"),
            sharpness=sharpness,
            num_samples=10,
        )
        for name, sharpness in (("elbo", None), ("elbo_relaxed", 200.0))
    )
    assert (
        rows[-1].items()
        >= {
            "test/elbo": -float(hard.rate + hard.distortion),
            "test/elbo_relaxed": -float(relaxed.rate + relaxed.distortion),
            "test/rate": float(hard.rate),
            "test/distortion": float(hard.distortion),
        }.items()
    )
    assert hard.distortion != relaxed.distortion


def test_gate_gradients_are_those_of_the_step_that_training_would_take_next(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watch(*_: object, sharpness: float, step: int) -> dict[str, float]:
        asked.append((sharpness, step))
        return dict.fromkeys(("disarm_noise",), 1.0)

    monkeypatch.setattr(evaluations, "measure_gate_gradients", watch)
    run(make_trial(dataset), dataset, tmp_path, dataclasses.replace(NONE, evaluate=("gate_gradients",)))
    assert asked == [(200.0, EPOCHS * STEPS)]  # the end of the ramp


def test_every_measurement_has_noise_of_its_own(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stream, made = evaluations.make_stream, []

    def spy(seed: int, purpose: str, epoch: int, **options: Any) -> torch.Generator:
        made.append((seed, purpose, epoch))
        return make_stream(seed, purpose, epoch, **options)

    monkeypatch.setattr(evaluations, "make_stream", spy)
    run(make_trial(dataset, num_validation=50, seed=7), dataset, tmp_path)
    assert len(made) == len(set(made)) == 2 * EPOCHS + 4
    assert {seed for seed, _, _ in made} == {7}
    assert all(purpose.startswith("evaluate/") for _, purpose, _ in made)  # nor is any of it training's
