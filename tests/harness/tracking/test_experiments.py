"""Studies of one name from several results folders, in one store that they share."""

import shutil
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.ledger.result import Result
from harness.ledger.trial_folder import TrialFolder
from harness.storage.local import database_uri
from harness.tracking.experiments import OWNER_TAG
from harness.tracking.local_store import make_database
from harness.tracking.mlflow_settings import quieten_mlflow
from harness.tracking.mlflow_store import MlflowStore
from tests.harness.tracking.test_mlflow_store import STOPPED, TRIAL


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    quieten_mlflow()
    make_database(path)
    return path


@pytest.fixture(autouse=True)
def _shared(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One store for all results folders of a test."""
    shutil.copy(empty_store, tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path / "shared.db"))


def send(results: Path, result: Result = STOPPED) -> tuple[str, bool]:
    """Send a trial as a run of the study does; returns the name of its experiment, and whether anything was lacking."""
    store = MlflowStore("small", results)
    store.open({})
    was_lacking = store.sync(TRIAL, result, TrialFolder(results / "small", TRIAL), {})
    store.close("FINISHED")
    return str(store.client.get_experiment(store.experiment_id).name), was_lacking


def test_what_another_results_folder_sent_does_not_count_as_sent(tmp_path: Path) -> None:
    assert send(tmp_path / "mine") == ("small", True)
    name, was_lacking = send(tmp_path / "yours")
    assert was_lacking
    assert name.startswith("small (")
    assert send(tmp_path / "mine") == ("small", False)
    assert send(tmp_path / "yours") == (name, False)
    (tmp_path / "yours").rename(tmp_path / "moved")
    assert send(tmp_path / "moved") == (name, False)


def test_an_experiment_of_an_earlier_version_goes_on_with_the_first_that_comes(tmp_path: Path) -> None:
    store = MlflowStore("other", tmp_path / "mine")
    before = store.client.create_experiment("small")
    store.client.delete_experiment(before)
    assert send(tmp_path / "mine")[0] == "small"
    assert OWNER_TAG in store.client.get_experiment(before).tags
    assert send(tmp_path / "yours")[0] != "small"


def test_a_results_folder_that_was_lost_is_found_by_name_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no experiment named small"):
        MlflowStore("small", tmp_path / "new", create=False)
    assert not (tmp_path / "new").exists()
    send(tmp_path / "lost")
    store = MlflowStore("small", tmp_path / "new", create=False)
    store.open()
    assert list(store.run_ids) == [TRIAL.trial_id]
    assert send(tmp_path / "new") == ("small", False)


def test_a_study_of_others_can_be_read_and_is_then_sent_as_ones_own(tmp_path: Path) -> None:
    send(tmp_path / "theirs")
    MlflowStore("another", tmp_path / "mine")  # this results folder has a name by now
    found = MlflowStore("small", tmp_path / "mine", create=False)
    found.open()
    assert list(found.run_ids) == [TRIAL.trial_id]
    assert send(tmp_path / "mine")[1]
