"""`spikeslab collect`: the folder's own results come first, and MLflow's where it has none."""

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from harness.commands.collect import collect_study
from harness.datasets import load_dataset
from harness.ledger.trial_folder import TrialFolder
from harness.storage.place import Folder
from tests.harness.search.searching import Searching
from tests.harness.small_studies import GOOD


@pytest.mark.parametrize("metric", ["train/loss", "train/rate"])
def test_a_training_that_was_done_anew_is_in_the_tables(tmp_path: Path, metric: str) -> None:
    searching, results = Searching(tmp_path, load_dataset("digits"), GOOD), Folder(tmp_path / "results")
    searching.folder = tmp_path / "results/demo"
    first, *_ = searching.run()
    collect_study(searching.study, results)
    folder = TrialFolder(searching.folder, first)
    before = folder.read_result()
    assert before is not None
    folder.write_result(dataclasses.replace(before, history=[row | {metric: 7.0} for row in before.history]))
    collect_study(searching.study, results)
    history = pd.read_parquet(searching.folder / "history.parquet")
    assert list(history.loc[history["trial_id"] == first.trial_id, metric]) == [7.0, 7.0]


def test_mlflow_is_asked_for_the_epochs_of_what_the_folder_lacks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching, results = Searching(tmp_path, load_dataset("digits"), GOOD), Folder(tmp_path / "results")
    searching.folder = tmp_path / "results/demo"
    first, *_ = searching.run()
    asked: set[str] = set()
    plain = MlflowClient.get_metric_history

    def ask(self: MlflowClient, run_id: str, key: str) -> object:
        asked.add(run_id)
        return plain(self, run_id, key)

    monkeypatch.setattr(MlflowClient, "get_metric_history", ask)
    for _ in range(2):
        collect_study(searching.study, results)
    assert asked == set()
    before = pd.read_parquet(searching.folder / "history.parquet")
    shutil.rmtree(TrialFolder(searching.folder, first).path)
    assert collect_study(searching.study, results).num_restored == 1
    assert len(asked) == 1
    pd.testing.assert_frame_equal(pd.read_parquet(searching.folder / "history.parquet"), before)
