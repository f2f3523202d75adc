"""Studies that steer themselves, under Ray: lengths that share a training, schedulers, populations, confirmation."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.commands.collect import collect_study
from harness.commands.outcome import Outcome
from harness.datasets import Dataset, load_dataset
from harness.ledger.trial_folder import TrialFolder
from harness.search.make_source import make_source
from harness.storage.place import Folder
from harness.study import Study
from harness.tracking.mlflow_store import MlflowStore
from harness.tune import trainable
from tests.harness.training import read, runs_of, train_here

Run = Callable[..., tuple[Outcome, str]]

BASE: dict[str, Any] = {
    "dataset": "digits",
    "defaults": {"hidden": [16], "batch_size": 128, "epochs": 9},
    "evaluate": ["elbo", "sparsity"],
    "resources": {"cpu": 2},  # one by one, in one process, which takes half the time to start that two take
}
TWO_AT_ONCE = {"cpu": 1}
ONE_SPACE = {"model": "vsc", "latent_dim": 3, "alpha": {"loguniform": [0.05, 0.5]}, "beta": {"uniform": [0.5, 2]}}
RATES = {"model": "vae", "latent_dim": 2, "learning_rate": {"grid": [1e-2, 3e-3, 1e-3, 1e-4, 3e-5, 1e-5]}}


def make_study(**changes: Any) -> Study:
    return Study.model_validate(BASE | changes)


# Lengths


def lengths(*epochs: int, **changes: Any) -> Study:
    return make_study(
        name="lengths",
        defaults={
            "hidden": [16],
            "batch_size": 128,
            "epochs": {"grid": list(epochs)},
            "sharpness_schedule": "per_step",
        },
        space=[{"model": "vae", "latent_dim": 2}, {"model": "vsc", "latent_dim": 3, "alpha": 0.3}],
        seeds=[0, 1],
        **changes,
    )


def test_lengths_share_one_training_and_each_is_what_it_would_be_alone(run: Run, tmp_path: Path) -> None:
    outcome, _ = run(lengths(12, 3, 7, resources=TWO_AT_ONCE))
    assert (outcome.num_done, outcome.num_trained) == (12, 12)
    assert outcome.num_epochs == 12 * 2 * 2  # the longest length times configurations times seeds
    trials, history = read(tmp_path / "results" / "lengths")
    assert history.groupby("trial_id").size().to_dict() == dict(zip(trials.trial_id, trials.epochs, strict=True))
    assert len(list((tmp_path / "results/lengths/trials").iterdir())) == 4
    assert len(runs_of(tmp_path / "results", "lengths")) == 12
    train_here(lengths(3), tmp_path / "alone")
    expected, expected_history = read(tmp_path / "alone" / "lengths")
    own = trials[trials.epochs == 3].reset_index(drop=True)
    numbers = ["trial_id", *(name for name in trials if "/" in name)]
    pd.testing.assert_frame_equal(own[numbers], expected[numbers], check_exact=True)
    own_history = history[history.trial_id.isin(own.trial_id)].reset_index(drop=True).drop(columns="seconds")
    pd.testing.assert_frame_equal(own_history, expected_history.drop(columns="seconds"), check_exact=True)


def test_a_longer_length_resumes_from_what_is_stored(run: Run, tmp_path: Path) -> None:
    train_here(lengths(3), tmp_path / "results")
    assert run(lengths(3, 8))[0].num_epochs == 5 * 4
    trials, _ = read(tmp_path / "results" / "lengths")
    train_here(lengths(8), tmp_path / "at-once")
    expected, _ = read(tmp_path / "at-once" / "lengths")
    numbers = [name for name in trials if "/" in name]
    longer = trials[trials.epochs == 8].reset_index(drop=True)
    pd.testing.assert_frame_equal(longer[numbers], expected[numbers], check_exact=True)


def test_a_schedule_over_the_whole_run_shares_nothing(run: Run) -> None:
    study = make_study(
        name="ramp",
        defaults={"hidden": [16], "batch_size": 128, "epochs": {"grid": [2, 3]}},
        space=[{"model": "vsc", "latent_dim": 3, "alpha": 0.3, "sharpness_schedule": "ramp"}],
    )
    assert run(study)[0].num_epochs == 5


# Schedulers and samplers


STEERED = {
    "hyperband": {"space": [RATES], "scheduler": {"name": "hyperband", "reduction_factor": 3}},
    "median": {"space": [RATES], "scheduler": {"name": "median", "grace_epochs": 2}},
    "pbt": {
        "space": [{"model": "vae", "latent_dim": 2, "learning_rate": {"grid": [1e-2, 3e-3, 1e-3, 1e-4]}}],
        "scheduler": {"name": "pbt", "interval": 3},
        "resources": TWO_AT_ONCE,
    },
    "nsga2": {
        "space": [ONE_SPACE],
        "search": {"sampler": "nsga2", "num_trials": 6, "metric": ["val/rate", "val/distortion"]},
    },
}


@pytest.fixture(scope="module", params=STEERED)
def steered(
    request: pytest.FixtureRequest, run_in: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Path, Outcome]:
    """A study, its results once it was run, and how it ended."""
    study = make_study(name=request.param, **STEERED[request.param])
    results = tmp_path_factory.mktemp(request.param) / "results"
    return study, results, run_in(study, results)[0]


def test_it_completes_with_one_run_per_trial_and_nothing_is_done_twice(
    steered: tuple[Study, Path, Outcome], run: Run
) -> None:
    study, results, outcome = steered
    trials, history = read(results / study.name)
    assert outcome.num_done == outcome.num_trained == len(trials) == outcome.num_trials
    assert set(trials.status) <= {"finished", "stopped"}
    assert (trials.status == "finished").any()
    runs = {r.data.tags["spikeslab.trial_id"]: r for r in runs_of(results, study.name)}
    assert sorted(runs) == sorted(trials.trial_id)
    assert len(runs_of(results, study.name)) == len(trials)
    for row in trials.itertuples():
        assert runs[row.trial_id].info.status == "FINISHED"
        assert float(runs[row.trial_id].data.params["learning_rate"]) == row.learning_rate
        assert runs[row.trial_id].data.metrics["epoch"] == row.epochs_trained
    assert json.loads(trials.objectives[0]) == list(study.objectives)
    assert not history["test/loss"].notna().any() if "test/loss" in history else True
    assert run(study, results)[0].num_trained == 0


@pytest.mark.parametrize("steered", ["pbt"], indirect=True)
def test_the_perturbed_settings_of_a_population_are_metrics_over_time(steered: tuple[Study, Path, Outcome]) -> None:
    study, results, _ = steered
    store = MlflowStore(study.name, results, create=False)
    changed = 0
    for found in runs_of(results, study.name):
        points = store.client.get_metric_history(found.info.run_id, "train/pbt/learning_rate")
        assert [p.step for p in points] == list(range(1, 10))
        assert points[0].value == float(found.data.params["learning_rate"])
        changed += points[-1].value != points[0].value
    assert changed


@pytest.mark.parametrize("name", ["median", "asha"])
def test_a_scheduler_knows_of_the_trials_of_earlier_runs(run: Run, tmp_path: Path, name: str) -> None:
    scheduler = {"name": name} | ({} if name == "median" else {"reduction_factor": 3})
    rates = [1e-2, 9e-3, 8e-3, 7e-3, 6e-3]

    def study(*more: float) -> Study:
        space = [RATES | {"learning_rate": {"grid": [*rates, *more]}}]
        return make_study(name="known", space=space, scheduler=scheduler)

    train_here(study(), tmp_path / "results")
    run(study(1e-6))  # alone, it would be the best of all
    trials, _ = read(tmp_path / "results" / "known")
    assert list(trials.status)[-1] == "stopped"


@pytest.mark.parametrize("name", ["median", "asha"])
def test_what_went_on_once_is_not_stopped_at_an_epoch_long_past(run: Run, tmp_path: Path, name: str) -> None:
    """Neither a finished trial that is measured again, nor one that a kill left far behind where it began."""
    scheduler = {"name": name} | ({} if name == "median" else {"reduction_factor": 3})
    rates = [1e-6, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2]  # the first one is far the worst, and is begun alone

    def study(*rates: float, evaluate: tuple[str, ...] = ("elbo",)) -> Study:
        space = [RATES | {"learning_rate": {"grid": list(rates)}}]
        return make_study(name="past", space=space, scheduler=scheduler, evaluate=list(evaluate))

    train_here(study(*rates[:1]), tmp_path / "results")
    run(study(*rates))
    folder = tmp_path / "results" / "past"
    before, _ = read(folder)
    assert before.status[0] == "finished"
    worst = make_source(study(*rates), load_dataset("digits"), folder).trials[0]
    TrialFolder(folder, worst).forget_result()  # as if killed after the last epoch
    run(study(*rates, evaluate=("elbo", "sparsity")))
    after, _ = read(folder)
    assert after.status.tolist() == before.status.tolist()
    assert after.epochs_trained.tolist() == before.epochs_trained.tolist()
    assert after["code/nonzero_fraction"].notna().tolist() == (after.status == "finished").tolist()


# Sound choices


def test_what_confirms_is_trained_on_all_images_and_is_not_stopped(run: Run, tmp_path: Path) -> None:
    study = make_study(
        name="confirm",
        space=[RATES],
        scheduler={"name": "asha", "reduction_factor": 3},
        confirm={"top": 1, "seeds": [0, 1, 2]},
        resources=TWO_AT_ONCE,
    )
    outcome, _ = run(study)
    trials, history = read(tmp_path / "results" / "confirm")
    assert outcome.num_done == len(trials) == 6 + 3 + 3
    assert trials.phase.tolist() == ["search"] * 6 + ["select"] * 3 + ["confirm"] * 3
    after = trials[trials.phase != "search"]
    assert set(after.status) == {"finished"}
    assert after.learning_rate.nunique() == 1
    assert set(trials[trials.phase == "confirm"].num_validation) == {0}
    confirmed = history[history.trial_id.isin(trials[trials.phase == "confirm"].trial_id)]
    assert confirmed["val/elbo"].isna().all()
    tags = {r.data.tags["spikeslab.phase"] for r in runs_of(tmp_path / "results", "confirm")}
    assert tags == {"search", "select", "confirm"}

    # All of it can be had back from MLflow.
    for path in (tmp_path / "results" / "confirm").glob("*.parquet"):
        path.unlink()
    shutil.rmtree(tmp_path / "results" / "confirm" / "trials")
    assert collect_study(study, Folder(tmp_path / "results")).num_restored == 12
    again, history_again = read(tmp_path / "results" / "confirm")
    pd.testing.assert_frame_equal(again, trials)
    assert len(history_again) == len(history)
    assert run(study)[0].num_trained == 0


def test_a_search_whose_folder_is_lost_is_restored_with_all_that_its_sampler_learned(run: Run, tmp_path: Path) -> None:
    study = make_study(name="lost", space=[ONE_SPACE], search={"sampler": "tpe", "num_trials": 4})
    run(study)
    trials, _ = read(tmp_path / "results" / "lost")
    shutil.rmtree(tmp_path / "results" / "lost")
    assert collect_study(study, Folder(tmp_path / "results")).num_restored == 4
    outcome, _ = run(study)
    assert (outcome.num_trained, outcome.num_done) == (0, 4)
    assert read(tmp_path / "results" / "lost")[0].trial_id.tolist() == trials.trial_id.tolist()


def test_a_trial_whose_process_dies_before_it_begins_fails_and_the_study_ends(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(
        name="doomed",
        defaults={"hidden": [16], "batch_size": 128, "epochs": {"grid": [2, 3]}},
        space=[{"model": "vae", "latent_dim": {"grid": [2, 3]}}],
    )
    monkeypatch.setattr("harness.tune.plan.StudyTrainable", Doomed)
    monkeypatch.setattr("harness.tune.failures.MAX_CRASHES", 1)  # each costs a process
    outcome, _ = run(study)
    trials, _ = read(tmp_path / "results" / "doomed")
    assert (outcome.num_done, outcome.num_failed) == (2, 2)
    assert trials[trials.latent_dim == 2].error.str.startswith("its process died").all()
    assert set(trials[trials.latent_dim == 3].status) == {"finished"}


class Doomed(trainable.StudyTrainable):
    """Dies, as if memory were short, before it trains anything of two latent dimensions."""

    def setup(self, config: dict[str, Any], **options: Any) -> None:
        self._die(config)
        super().setup(config, **options)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._die(new_config)
        return super().reset_config(new_config)

    @staticmethod
    def _die(config: dict[str, Any]) -> None:
        if config["trial"].settings.latent_dim == 2:
            os._exit(1)


def test_the_test_set_never_steers(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(
        name="blind",
        space=[{"model": "vsc", "latent_dim": {"int": [2, 6]}, "alpha": {"loguniform": [0.05, 0.5]}}],
        search={"sampler": "tpe", "num_trials": 6},
        scheduler={"name": "asha", "reduction_factor": 3},
        confirm={"top": 2, "seeds": [0, 1]},
        resources={"cpu": 2},  # one by one, so that what the sampler knows at each proposal is the same
    )
    run(study)
    expected, _ = read(tmp_path / "results" / "blind")

    def load_noise(*_: object) -> Dataset:
        digits, rng = load_dataset("digits"), np.random.default_rng(0)
        noise = rng.integers(0, 256, digits.test_images.shape, dtype=np.uint8)
        return replace(digits, test_images=noise, test_labels=rng.permutation(digits.test_labels))

    monkeypatch.setattr("harness.commands.run.load_dataset", load_noise)
    run(study, tmp_path / "noise")
    found, _ = read(tmp_path / "noise" / "blind")
    assert found.trial_id.tolist() == expected.trial_id.tolist()
    assert found.phase.tolist() == expected.phase.tolist()
    assert found.status.tolist() == expected.status.tolist()
    finished = expected.status == "finished"
    assert (found["test/elbo"] != expected["test/elbo"])[finished].all()
