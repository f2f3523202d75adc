"""Results that are copied, moved or named as people name folders, and runs that were deleted in MLflow's UI."""

import contextlib
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from harness.ledger.trial_folder import TrialFolder
from harness.tracking.mlflow_settings import is_own_store
from harness.tracking.mlflow_store import MlflowStore
from tests.harness.tracking.test_mlflow_store import STOPPED, TRIAL

ODD = ["why?", "50%", "%41", "a#b", "two words", "résumé", "a;b&c=d+e", "file:x", "mlartifacts"]


@pytest.fixture(autouse=True)
def _as_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores in this file belong to processes of their own, none of which knows where another found its artifacts."""
    made = MlflowStore.__init__

    def init(*arguments: Any, **options: Any) -> None:
        _artifact_repos_cache.clear()
        made(*arguments, **options)

    monkeypatch.setattr(MlflowStore, "__init__", init)


def store_text(results: Path, text: str) -> None:
    """Store a file in the parent run, as a process does that runs the study."""
    store = MlflowStore("small", results)
    store.open({})
    store.sync(TRIAL, STOPPED, TrialFolder(results / "small", TRIAL), {})
    (results / "study.yaml").write_text(text)
    store.attach([results / "study.yaml"])


def read_text(results: Path) -> str:
    """Read it, as `collect` does where the folder lacks it."""
    store = MlflowStore("small", results, create=False)
    store.open()
    (results / "down").mkdir()
    store.download_parent_file("study.yaml", results / "down")
    return (results / "down" / "study.yaml").read_text()


@pytest.mark.parametrize("name", ODD)
def test_a_folder_of_any_name_holds_all_of_its_results(tmp_path: Path, name: str) -> None:
    results = tmp_path / "outside" / name
    store_text(results, "mine")
    assert read_text(results) == "mine"
    assert list((tmp_path / "outside").iterdir()) == [results]
    assert len(list(results.glob("mlartifacts/small/*/artifacts/study.yaml"))) == 1


def test_what_is_stored_in_a_copy_leaves_the_original_alone(tmp_path: Path) -> None:
    store_text(tmp_path / "a", "of a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store_text(tmp_path / "b", "of b")
    assert read_text(tmp_path / "a") == "of a"
    assert read_text(tmp_path / "b") == "of b"


@pytest.mark.parametrize("name", ["moved", "mlartifacts", "why?"])
def test_what_was_stored_is_found_where_the_results_are_moved(tmp_path: Path, name: str) -> None:
    store_text(tmp_path / "a", "mine")
    (tmp_path / "a").rename(tmp_path / name)
    assert read_text(tmp_path / name) == "mine"
    assert not (tmp_path / "a").exists()


def test_no_other_study_of_a_copy_points_to_the_original(tmp_path: Path) -> None:
    for study in ("first", "second"):
        MlflowStore(study, tmp_path / "a").open({})
    elsewhere = "s3://bucket/mlartifacts/third"  # made by the user, in MLflow's UI
    MlflowStore("first", tmp_path / "a").client.create_experiment("third", artifact_location=elsewhere)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    MlflowStore("first", tmp_path / "b")
    with closing(sqlite3.connect(tmp_path / "b" / "mlflow.db")) as connection:
        places = [row[0] for row in connection.execute("SELECT artifact_location FROM experiments ORDER BY name")]
        places += [row[0] for row in connection.execute("SELECT artifact_uri FROM runs")]
    here = (tmp_path / "b" / "mlartifacts").as_uri()
    assert sorted(place for place in places if not place.startswith(f"{here}/"))[-1] == elsewhere
    assert sum(place.startswith(f"{here}/") for place in places) == 4


def parents(results: Path) -> dict[str, int]:
    """The parent runs that there are, and how many trials each has."""
    store = MlflowStore("small", results)
    children = [run.data.tags["mlflow.parentRunId"] for run in store._search("tags.`spikeslab.kind` = 'trial'")]
    found = [run.info.run_id for run in store._search("tags.`spikeslab.kind` = 'study'")]
    return {run_id: children.count(run_id) for run_id in found}


def test_trials_whose_parent_was_deleted_get_the_new_one(tmp_path: Path) -> None:
    store_text(tmp_path, "mine")
    store = MlflowStore("small", tmp_path)
    [before] = parents(tmp_path)
    store.client.delete_run(before)
    store_text(tmp_path, "again")
    [(after, count)] = parents(tmp_path).items()
    assert after != before
    assert count == 1


def test_a_trial_moved_to_another_parent_or_to_none_comes_back(tmp_path: Path) -> None:
    store_text(tmp_path, "mine")
    store = MlflowStore("small", tmp_path)
    [run] = store._search("tags.`spikeslab.kind` = 'trial'")
    store.client.set_tag(run.info.run_id, "mlflow.parentRunId", "another")
    store_text(tmp_path, "mine")
    assert list(parents(tmp_path).values()) == [1]


def test_a_trial_deleted_in_the_ui_is_sent_again(tmp_path: Path) -> None:
    store_text(tmp_path, "mine")
    store = MlflowStore("small", tmp_path)
    [run] = store._search("tags.`spikeslab.kind` = 'trial'")
    store.client.delete_run(run.info.run_id)
    store_text(tmp_path, "mine")
    assert list(parents(tmp_path).values()) == [1]


def test_variables_for_other_programs_do_not_reach_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MLFLOW_EXPERIMENT_NAME": "another",
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_RUN_ID": "77",
        "MLFLOW_REGISTRY_URI": "nonsense://x",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "nonsense",
        "MLFLOW_SQLALCHEMYSTORE_ECHO": "true",
        "MLFLOW_LOGGING_LEVEL": "DEBUG",
        "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    }.items():
        monkeypatch.setenv(name, value)
    store_text(tmp_path, "mine")
    assert read_text(tmp_path) == "mine"
    assert list(parents(tmp_path).values()) == [1]


@pytest.mark.parametrize("name", ["a", "why?"])
def test_a_notebook_that_looks_into_one_results_folder_sends_the_next_study_to_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store_text(tmp_path / name, "of a")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    uri = MlflowStore("small", tmp_path / name).uri
    try:
        mlflow.set_tracking_uri(uri)  # which also sets the variable
        assert os.environ["MLFLOW_TRACKING_URI"] == uri
        store_text(tmp_path / "b", "of b")
    finally:
        mlflow.set_tracking_uri(None)
    assert (tmp_path / "b" / "mlflow.db").exists()
    assert len(list(tmp_path.glob("b/mlartifacts/small/*/artifacts/study.yaml"))) == 1
    assert read_text(tmp_path / name) == "of a"


def test_a_database_that_several_share_is_theirs_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mlflow.db", "shared.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name}")
        assert not is_own_store()


def test_the_documented_way_to_remove_a_study_leaves_other_studies_and_the_original_of_a_copy(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "mlflow.md").read_text().split("## Removing a study")[1]
    script = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0].replace("my-study", "small")
    (collecting,) = re.findall(r"^    mlflow (gc .*)$", page, re.MULTILINE)
    original, copy = tmp_path / "a" / "results", tmp_path / "b" / "results"
    store_text(original, "mine")
    other = MlflowStore("other", original)
    other.open({})
    other.attach([original / "study.yaml"])
    shutil.copytree(original, copy)
    MlflowStore("other", copy, create=False)  # as spikeslab opens the copy
    with contextlib.chdir(copy.parent):
        exec(script, {})
        command = [sys.executable, "-m", "mlflow", *shlex.split(collecting)]
        subprocess.run(command, capture_output=True, check=True, timeout=120)
    with closing(sqlite3.connect(copy / "mlflow.db")) as connection:
        assert {name for (name,) in connection.execute("SELECT name FROM experiments")} == {"Default", "other"}
    assert [path.parts[-4] for path in copy.glob("mlartifacts/*/*/artifacts/study.yaml")] == ["other"]
    assert [path for path in (copy / "mlartifacts" / "small").rglob("*") if path.is_file()] == []
    assert read_text(original) == "mine"
