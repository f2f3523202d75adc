"""Studies of one results folder share what they train and measure; nothing is done twice."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import Dataset
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import ARRAY_EVALUATIONS, EVALUATION_METRICS, FACTOR_EVALUATIONS, Evaluation, Measures
from harness.search.grid_and_random import count_epochs_to_train
from harness.search.open_trials import needs_training
from harness.worker.evaluator import MEASURES, Evaluator
from models.measures import inference_gap
from models.measures.metric_names import GRADIENT_METRICS
from models.settings import TrialSettings
from tests.harness.worker.tiny_trials import (
    ALL,
    EPOCHS,
    NONE,
    Fits,
    dataset,
    fits,
    make_trial,
    result_of,
    run,
    tensors_of,
    untimed,
)
from tests.models.cases import assert_same_tensors

__all__ = ["dataset", "fits"]  # fixtures

OF_GATES = {
    *("code/num_nonzero", "code/always_on_fraction", "code/gate_information", "probe/num_on"),
    *("code/support_overlap", "code/support_overlap_same_image"),
    *GRADIENT_METRICS,
}
EVERYTHING = Measures(
    tuple(name for name in EVALUATION_METRICS if name not in FACTOR_EVALUATIONS),
    iw_samples=3,
    checkpoint_every=1,
    probe_width=8,
)


def test_what_another_study_trained_is_not_trained_again(dataset: Dataset, tmp_path: Path, fits: Fits) -> None:
    trial = make_trial(dataset)
    first = run(trial, dataset, tmp_path / "first")
    assert fits.epochs == list(range(1, EPOCHS + 1))
    second = run(trial, dataset, tmp_path / "second")
    assert fits.epochs == list(range(1, EPOCHS + 1))
    assert second == first
    assert_same_tensors(tensors_of(trial, tmp_path / "second"), tensors_of(trial, tmp_path / "first"))
    results = (result_of(trial, tmp_path / name) for name in ("first", "second"))
    first_result, second_result = (dataclasses.replace(result, peak_memory_mb=None) for result in results)
    assert first_result == second_result


def test_a_longer_trial_of_another_study_resumes_where_the_shorter_ended(
    dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    short, long = (make_trial(dataset, "vae", epochs=epochs) for epochs in (2, 5))
    run(short, dataset, tmp_path / "first")
    rows = run(long, dataset, tmp_path / "second")
    assert fits.epochs == [1, 2, 3, 4, 5]
    alone = run(long, dataset, tmp_path / "elsewhere" / "alone")
    assert untimed(rows) == untimed(alone)
    assert_same_tensors(tensors_of(long, tmp_path / "second"), tensors_of(long, tmp_path / "elsewhere" / "alone"))


def test_a_plan_counts_what_other_studies_have_trained(dataset: Dataset, tmp_path: Path) -> None:
    short, long = (make_trial(dataset, "vae", epochs=epochs) for epochs in (2, 5))
    run(short, dataset, tmp_path / "first")
    assert count_epochs_to_train([long], tmp_path / "second") == {long.trial_id: 3}
    assert not (tmp_path / "second").exists()


def test_what_another_study_measured_is_not_measured_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, measured = make_trial(dataset), []
    evaluate = Evaluator.evaluate

    def watch(self: Evaluator, name: str) -> dict[str, float]:
        measured.append(name)
        return evaluate(self, name)  # type: ignore[arg-type]

    monkeypatch.setattr(Evaluator, "evaluate", watch)
    run(trial, dataset, tmp_path / "first", dataclasses.replace(ALL, evaluate=("elbo", "iw_bound")))
    run(trial, dataset, tmp_path / "second", dataclasses.replace(ALL, evaluate=("iw_bound", "sparsity")))
    assert measured == ["elbo", "iw_bound", "sparsity"]
    first, second = (result_of(trial, tmp_path / name) for name in ("first", "second"))
    assert second.metrics["test/iw_bound"] == first.metrics["test/iw_bound"]
    assert "test/elbo" not in second.metrics
    more = dataclasses.replace(ALL, evaluate=("iw_bound",), iw_samples=4)
    run(trial, dataset, tmp_path / "third", more)
    assert measured[3:] == ["iw_bound"]


def test_what_was_measured_of_a_state_that_is_gone_says_nothing_of_one_trained_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path / "first", ALL)
    for state in TrialFolder(tmp_path / "first", trial).list_own_states():
        state.unlink()
    monkeypatch.setattr(Evaluator, "evaluate", lambda *_: {"test/elbo": -1.0})
    run(trial, dataset, tmp_path / "second", dataclasses.replace(ALL, evaluate=("elbo",)))
    assert result_of(trial, tmp_path / "second").metrics == {"test/elbo": -1.0}


def test_a_population_keeps_its_training_to_itself(dataset: Dataset, tmp_path: Path, fits: Fits) -> None:
    trial = dataclasses.replace(make_trial(dataset), population="a population")
    run(trial, dataset, tmp_path / "first", NONE)
    run(trial, dataset, tmp_path / "second", NONE)
    assert fits.epochs == 2 * list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("model", ["vae", "vsc"])
def test_every_evaluation_yields_the_metrics_that_are_declared_for_it(
    dataset: Dataset, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_gap, "NUM_SAMPLES", 100)
    trial = make_trial(dataset, model)
    run(trial, dataset, tmp_path / "study", EVERYTHING)
    # Digits have no factors: tests/harness/worker/test_disentanglement.py is of those that have.
    declared = [
        name for group, names in EVALUATION_METRICS.items() if group not in FACTOR_EVALUATIONS for name in names
    ]
    assert len(declared) == len(set(declared))
    missing = set(declared) - set(result_of(trial, tmp_path / "study").metrics)
    assert set(result_of(trial, tmp_path / "study").metrics) <= set(declared)
    # Only a model with gates has their measures, latents that are never on only if it has some, and a bias only if it
    # is not lost in the noise.
    of_gates = {*OF_GATES, *(name for name in declared if "_mu_on_" in name)} if model == "vae" else set()
    assert {name for name in missing - of_gates if "_mu_off_" not in name and not name.endswith("_bias")} == set()
    assert of_gates <= missing


def test_measures_of_an_older_version_are_made_again_and_nothing_is_trained(
    dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    """As of a result that was stored before `sparsity` had a version, and fewer metrics."""
    trial, folder = make_trial(dataset), tmp_path / "study"
    run(trial, dataset, folder, ALL)
    now, stored = result_of(trial, folder), TrialFolder(folder, trial)
    older = {name: value for name, value in now.metrics.items() if name not in OF_GATES}
    evaluated = [name.partition("@v")[0] for name in now.evaluated]
    stored.write_result(dataclasses.replace(now, metrics=older, evaluated=evaluated))
    assert needs_training(stored.read_result(), evaluate=ALL.evaluated, stops_early=False)
    fits.epochs.clear()
    run(trial, dataset, folder, ALL)
    assert fits.epochs == []
    assert result_of(trial, folder).metrics == now.metrics
    assert sorted(result_of(trial, folder).evaluated) == ["elbo@v2", "iw_bound@3v2", "sparsity@v2"]


def test_exhibits_are_arrays_without_pickle_in_the_studys_folder(dataset: Dataset, tmp_path: Path) -> None:
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path / "study", dataclasses.replace(NONE, evaluate=("exhibits", "latents")))
    folder = tmp_path / "study" / "exhibits"
    with np.load(folder / f"{trial.trial_id}.npz", allow_pickle=False) as arrays:
        assert arrays["images"].shape[1:] == (8, 8)
    with np.load(folder / f"{trial.trial_id}-latents.npz", allow_pickle=False) as arrays:
        assert arrays["kl"].shape == (trial.settings.latent_dim,)


@pytest.mark.parametrize("name", ARRAY_EVALUATIONS)
def test_arrays_that_are_gone_are_made_again_and_nothing_else(
    name: Evaluation, dataset: Dataset, tmp_path: Path, fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, measures = make_trial(dataset), dataclasses.replace(ALL, evaluate=("elbo", *ARRAY_EVALUATIONS))
    run(trial, dataset, tmp_path / "study", measures)
    folder = TrialFolder(tmp_path / "study", trial)
    file = folder.arrays[name]
    made = file.read_bytes()
    file.unlink()
    assert needs_training(folder.read_result(), evaluate=measures.evaluated, stops_early=False)
    monkeypatch.setitem(MEASURES, "elbo", None)  # type: ignore[arg-type]
    run(trial, dataset, tmp_path / "study", measures)
    assert fits.epochs == list(range(1, EPOCHS + 1))
    with np.load(file) as again, np.load(io.BytesIO(made)) as before:
        assert set(again) == set(before)
        assert all((again[array] == before[array]).all() for array in before)
    assert not needs_training(folder.read_result(), evaluate=measures.evaluated, stops_early=False)


def test_settings_at_their_defaults_are_no_part_of_an_identity() -> None:
    plain = Trial(TrialSettings(model="vsc", latent_dim=8, alpha=0.2), "digits", "hash")
    spelled = {"pixel_scaling": "minmax", "initialisation": "kaiming", "gamma_clamp": 1e-6, "epochs": 11}
    same = Trial(TrialSettings(model="vsc", latent_dim=8, alpha=0.2, **spelled), "digits", "hash")  # type: ignore[arg-type]
    assert same.trial_id == plain.trial_id
    other = Trial(TrialSettings(model="vsc", latent_dim=8, alpha=0.2, pixel_scaling="unit_norm"), "digits", "hash")
    assert other.trial_id != plain.trial_id


def test_a_folder_beside_the_studies_is_no_harm(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("")
    trial = make_trial(dataset)
    assert TrialFolder(tmp_path / "study", trial).list_states() == []
