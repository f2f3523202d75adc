import contextlib
import json
import os
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from harness.commands.collect import collect_study
from harness.commands.outcome import Outcome
from harness.datasets import load_dataset
from harness.ledger.provenance import read_provenance
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.metrics import Measures
from harness.search.grid_and_random import plan_trials
from harness.storage.local import locked
from harness.storage.place import Folder
from harness.study import Study
from harness.tracking.mlflow_store import MlflowStore
from harness.worker.trial_run import run_trial
from models.networks.counting import count_parameters
from models.settings import TrialSettings
from tests.harness.training import read, runs_of

Run = Callable[..., tuple[Outcome, str]]
ONE_PROCESS = {"cpu": 2}
"""All trials one after another in one process, which takes half the time to start that two take."""


def make_study(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "name": "small",
        "dataset": "digits",
        "defaults": {"hidden": [16], "batch_size": 128, "epochs": 3},
        "space": [
            {"model": "vae", "latent_dim": {"grid": [2, 4]}},
            {"model": "vsc", "latent_dim": 4, "alpha": 0.2},
        ],
        "iw_samples": 5,
    }
    return Study.model_validate(content | changes)


@pytest.fixture(scope="module")
def first_run(run_in: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, str]:
    """The results of the study once it was run, which are not to be changed; how it ended, and what it printed."""
    results = tmp_path_factory.mktemp("first") / "results"
    return results, *run_in(make_study(), results)


@pytest.fixture
def results(first_run: tuple[Path, Outcome, str], tmp_path: Path) -> Path:
    """A copy of the results of the study once it was run, of the test's own."""
    _artifact_repos_cache.clear()  # or MLflow, in this process, would look for what it stored in the original
    return Path(shutil.copytree(first_run[0], tmp_path / "results"))


def test_a_study_fills_tables_and_mlflow(first_run: tuple[Path, Outcome, str]) -> None:
    results, outcome, output = first_run
    assert (outcome.num_done, outcome.num_failed, outcome.num_trained) == (3, 0, 3)
    assert "3/3 trials done" in output

    trials, history = read(results / "small")
    assert list(trials.status) == ["finished"] * 3
    assert trials["test/elbo"].between(-60, 0).all()
    assert (trials["test/iw_bound"] >= trials["test/elbo"]).all()
    assert history.groupby("trial_id").epoch.apply(list).tolist() == [[1, 2, 3]] * 3

    runs = {r.data.tags["spikeslab.trial_id"]: r for r in runs_of(results)}
    assert set(runs) == set(trials.trial_id)
    for row in trials.itertuples():
        child = runs[row.trial_id]
        assert child.info.run_id == row.mlflow_run_id
        assert child.info.status == "FINISHED"
        assert child.data.params["latent_dim"] == str(row.latent_dim)
        assert child.data.params["learning_rate"] == "0.001"
        assert child.data.tags["dataset.sha256"] == load_dataset("digits").content_hash
        assert {"host", "device", "git.commit", "configuration"} <= set(child.data.tags)
        assert "version.torch" not in child.data.tags  # the parent has it
        assert child.data.metrics["epoch"] == 3


def test_the_parent_run_holds_study_tables_and_figures(first_run: tuple[Path, Outcome, str]) -> None:
    results = first_run[0]
    store = MlflowStore("small", results, create=False)
    store.open()
    assert store.parent_id is not None
    names = {item.path for item in store.client.list_artifacts(store.parent_id)}
    assert {"study.yaml", "resolved.json", "dataset.json", "tables"} <= names
    told = json.loads((results / "small" / "dataset.json").read_text())
    assert (told["name"], told["content_hash"]) == ("digits", load_dataset("digits").content_hash)
    resolved = json.loads((results / "small" / "resolved.json").read_text())
    assert [trial["trial_id"] for trial in resolved["trials"]] == list(read(results / "small")[0].trial_id)
    assert all(trial["settings"]["learning_rate"] == 1e-3 for trial in resolved["trials"])  # a default
    assert resolved["study"]["name"] == "small"
    assert store.client.get_run(store.parent_id).info.status == "FINISHED"
    children = runs_of(results)
    assert {c.data.tags["mlflow.parentRunId"] for c in children} == {store.parent_id}
    assert {"epoch-3.safetensors", "log.txt"} <= {i.path for i in store.client.list_artifacts(children[0].info.run_id)}


def test_a_trial_names_the_folder_of_its_weights_which_the_tutorial_opens_without_us(results: Path) -> None:
    trials = json.loads((results / "small" / "resolved.json").read_text())["trials"]
    stored = {path.parent.name for path in (results / "small" / "trials").glob("*/epoch-3.safetensors")}
    assert {trial["training_id"] for trial in trials} == stored
    tutorial = (Path(__file__).parents[3] / "docs" / "tutorial.md").read_text()
    (script,) = (text for text in re.findall(r"```python\n(.*?)```", tutorial, re.DOTALL) if "safetensors" in text)
    assert "harness" not in script
    found: dict[str, Any] = {}
    with contextlib.chdir(results.parent):
        exec(script.replace("my-study", "small"), found)
    assert found["trial"] == trials[0]
    assert sum(tensor.numel() for tensor in found["weights"].values()) == count_parameters(
        TrialSettings.from_dict(trials[0]["settings"]), (1, 8, 8)
    )


def test_running_again_trains_nothing_and_adding_a_point_trains_that_point(run: Run, results: Path) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in (results / "small/trials").glob("*/epoch-*.safetensors")}
    outcome, _ = run(make_study())
    assert outcome.num_trained == 0
    larger = make_study(
        space=[
            {"model": "vae", "latent_dim": {"grid": [2, 4]}},
            {"model": "vsc", "latent_dim": 4, "alpha": {"grid": [0.2, 0.5]}},
        ]
    )
    outcome, _ = run(larger)
    assert (outcome.num_trained, outcome.num_done) == (1, 4)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert len(read(results / "small")[0]) == len(runs_of(results)) == 4
    assert ["0.5" in entry["study"] for entry in read_provenance(results / "small")] == [False, True]


def test_the_same_trial_has_the_same_bits_alone_and_under_ray_beside_others(
    first_run: tuple[Path, Outcome, str], tmp_path: Path
) -> None:
    study, results = make_study(), first_run[0]
    dataset = load_dataset("digits")
    measures = study.measures
    for trial in plan_trials(study, dataset):
        rows = [event.metrics for event in run_trial(trial, measures, dataset, tmp_path / "alone")]
        under_ray = TrialFolder(results / "small", trial)
        alone = TrialFolder(tmp_path / "alone", trial)
        result = under_ray.read_result()
        assert result is not None
        assert result.metrics == {k: rows[-1][k] for k in result.metrics}
        assert [without_seconds(r) for r in result.history] == [
            without_seconds({k: r[k] for k in result.history[0]}) for r in rows
        ]
        tensors, expected = (read_checkpoint(f.list_own_states()[0])[0] for f in (under_ray, alone))
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[name], expected[name]) for name in tensors)


def without_seconds(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "seconds"}


def test_a_killed_trial_process_resumes_from_its_checkpoint(run: Run, tmp_path: Path) -> None:
    study = make_study(
        defaults={"hidden": [16], "batch_size": 32, "epochs": 60},
        space=[{"model": "vae", "latent_dim": 3}],
        checkpoint_every=1,
    )
    trial = plan_trials(study, load_dataset("digits"))[0]
    folder = TrialFolder(tmp_path / "results" / "small", trial)
    killed: list[int] = []

    def kill_once() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if 3 <= folder.count_stored_epochs() < 50:
                for process in psutil.Process().children(recursive=True):
                    if "Trainable" in process.name() or "Trainable" in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_once)
    killer.start()
    outcome, _ = run(study)
    killer.join()
    assert killed
    assert (outcome.num_done, outcome.num_failed) == (1, 0)
    assert "resumed from its checkpoint" in folder.log.read_text()

    alone = list(run_trial(trial, Measures(("elbo", "iw_bound", "sparsity"), 5, 10), load_dataset("digits"), tmp_path))
    result = folder.read_result()
    assert result is not None
    assert [r["test/loss"] for r in result.history] == [event.metrics["test/loss"] for event in alone]
    (child,) = runs_of(tmp_path / "results")
    store = MlflowStore("small", tmp_path / "results")
    points = store.client.get_metric_history(child.info.run_id, "train/loss")
    assert [p.step for p in points] == list(range(1, 61))


def test_a_diverging_trial_ends_as_diverged_and_the_study_continues(run: Run, tmp_path: Path) -> None:
    study = make_study(
        space=[
            {"model": "vae", "latent_dim": 2, "learning_rate": {"grid": [1e-3, 1e18]}},
        ],
        resources=ONE_PROCESS,
    )
    outcome, output = run(study)
    assert (outcome.num_done, outcome.num_failed, outcome.num_diverged) == (1, 0, 1)
    assert "1 diverged" in output
    trials, _ = read(tmp_path / "results" / "small")
    (diverged,) = trials[trials.status == "diverged"].itertuples()
    assert "epoch 1" in diverged.error
    assert "step" in diverged.error
    assert {r.info.status for r in runs_of(tmp_path / "results")} == {"FINISHED", "FAILED"}
    assert run(study)[0].num_trained == 0  # it would diverge again


def test_asha_stops_trials_early_and_keeps_what_they_reached(run: Run, tmp_path: Path) -> None:
    study = make_study(
        name="halving",
        defaults={"hidden": [16], "batch_size": 128, "epochs": 9},
        space=[{"model": "vae", "latent_dim": 2, "learning_rate": {"grid": [1e-2, 3e-3, 1e-3, 1e-4, 3e-5, 1e-5]}}],
        scheduler={"name": "asha", "grace_epochs": 1, "reduction_factor": 3},
        resources=ONE_PROCESS,
    )
    outcome, _ = run(study)
    trials, history = read(tmp_path / "results" / "halving")
    assert outcome.num_done == 6
    stopped = trials[trials.status == "stopped"]
    assert 1 <= len(stopped) <= 5
    assert (stopped.epochs_trained < 9).all()
    assert (trials[trials.status == "finished"].epochs_trained == 9).all()
    assert history["val/elbo"].notna().all()
    assert history.groupby("trial_id").size().to_dict() == dict(
        zip(trials.trial_id, trials.epochs_trained, strict=True)
    )
    assert {r.info.status for r in runs_of(tmp_path / "results", "halving")} == {"FINISHED"}
    assert run(study)[0].num_trained == 0
    # Without the scheduler the stopped ones go on; those that finished do not.
    changes = {
        "scheduler": {"name": "fifo"},
        "defaults": {"hidden": [16], "batch_size": 128, "epochs": 9, "num_validation": 250},
    }
    again, _ = run(Study.model_validate(study.model_dump(exclude_none=True) | changes))
    assert again.num_trained == len(stopped)


def test_tpe_runs_the_number_of_trials_asked_for_and_continues_when_it_grows(run: Run, tmp_path: Path) -> None:
    import optuna

    def study(num_trials: int) -> Study:
        return make_study(
            name="tpe",
            space=[
                {"model": "vae", "latent_dim": {"int": [2, 16]}},
                {"model": "vsc", "latent_dim": {"int": [2, 16]}, "alpha": {"loguniform": [0.01, 0.5]}},
            ],
            search={"sampler": "tpe", "num_trials": num_trials},
            resources=ONE_PROCESS,
        )

    assert run(study(4))[0].num_trained == 4
    assert run(study(6))[0].num_trained == 2
    trials, _ = read(tmp_path / "results" / "tpe")
    assert len(trials) == 6
    assert trials.trial_id.is_unique
    storage = f"sqlite:///{tmp_path / 'results/tpe/optuna.db'}"
    (summary,) = optuna.get_all_study_summaries(storage)
    told = [t for t in optuna.load_study(study_name=summary.study_name, storage=storage).trials if t.value is not None]
    history = read(tmp_path / "results" / "tpe")[1]
    final = history[history.epoch == 3].set_index("trial_id")["val/elbo"]
    assert {t.user_attrs["trial_id"]: t.value for t in told} == final.to_dict()

    (tmp_path / "results" / "tpe" / "optuna.db").write_bytes(b"")  # as a full disk leaves it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        collect_study(study(6), Folder(tmp_path / "results"))
    assert run(study(6))[0].num_trained == 0


def test_a_study_finishes_without_mlflow_and_sends_everything_later(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("harness.tracking.tracker.GIVE_UP_SECONDS", 1.0)
    study = make_study(resources=ONE_PROCESS)
    outcome, output = run(study)
    assert outcome.num_done == 3
    assert "Nothing is lost" in output
    assert read(tmp_path / "results" / "small")[0].mlflow_run_id.isna().all()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    outcome, output = run(study)
    assert outcome.num_trained == 0
    assert "Nothing is lost" not in output
    runs = runs_of(tmp_path / "results")
    assert len(runs) == 3
    assert all(r.data.metrics["epoch"] == 3 and r.info.status == "FINISHED" for r in runs)
    assert {r.info.run_id for r in runs} == set(read(tmp_path / "results" / "small")[0].mlflow_run_id)


def test_collect_rebuilds_tables_results_and_checkpoints_from_mlflow(run: Run, results: Path) -> None:
    study = make_study()
    before = read(results / "small")
    checkpoints = {p.relative_to(results): p.read_bytes() for p in results.glob("small/trials/*/epoch-*.safetensors")}
    shutil.rmtree(results / "small")
    collected = collect_study(study, Folder(results))
    assert (collected.num_trials, collected.num_sent, collected.num_restored) == (3, 0, 3)
    for table, expected in zip(read(results / "small"), before, strict=True):
        pd.testing.assert_frame_equal(table, expected)
    assert {p: (results / p).read_bytes() for p in checkpoints} == checkpoints
    assert run(study)[0].num_trained == 0


def test_collect_leaves_tables_alone_that_it_could_only_empty_or_disturb(results: Path) -> None:
    before = (results / "small/trials.parquet").read_bytes()
    other = make_study(defaults={"hidden": [16], "batch_size": 128, "epochs": 5})
    with pytest.raises(ValueError, match="file asks for; run it first"):
        collect_study(other, Folder(results))
    with (
        locked(results / "small/.lock", refusal="held"),
        pytest.raises(ValueError, match="is being run by another process"),
    ):
        collect_study(make_study(), Folder(results))
    assert (results / "small/trials.parquet").read_bytes() == before


def test_params_that_mlflow_did_not_get_are_sent_again(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (results / "mlflow.db").unlink()
    send, failures = MlflowStore._log, []

    def fail_once(self: MlflowStore, run_id: str, **content: Any) -> None:
        if content.get("params") and not failures:
            failures.append(run_id)
            raise ConnectionError("a blip")
        send(self, run_id, **content)

    monkeypatch.setattr(MlflowStore, "_log", fail_once)
    assert run(make_study())[0].num_trained == 0
    assert failures
    runs = runs_of(results)
    assert len(runs) == 3
    assert all("latent_dim" in r.data.params for r in runs)


def test_trials_share_one_read_only_copy_of_the_images(ray_cluster: str) -> None:
    import ray

    dataset = load_dataset("digits")
    reference = ray.put(dataset)

    @ray.remote
    def look(d: Any) -> tuple[bool, bool]:
        return d.train_images.flags.owndata, d.train_images.flags.writeable

    assert ray.get(look.remote(reference)) == (False, False)
    assert np.array_equal(ray.get(reference).train_images, dataset.train_images)


def test_a_study_that_asks_for_more_than_there_is_says_so_and_leaves_no_run_running(
    run: Run, tmp_path: Path, copy_database: Callable[[Path], None]
) -> None:
    (tmp_path / "results").mkdir()
    copy_database(tmp_path / "results" / "mlflow.db")
    with pytest.raises(ValueError, match="resources: a trial asks for 64 CPU"):
        run(make_study(resources={"cpu": 64}))
    (parent,) = MlflowStore("small", tmp_path / "results", create=False)._search("tags.`spikeslab.kind` = 'study'")
    assert parent.info.status == "FAILED"


def test_a_full_disk_is_refused_before_anything_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(ValueError, match="MB free, but this study needs"):
        run(make_study())


def test_a_study_that_runs_already_is_refused(run: Run, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "results/small/.lock", refusal="held"),
        pytest.raises(ValueError, match="is being run by another process"),
    ):
        run(make_study())
