"""`spikeslab collect`: the folder's own results come first, and MLflow's where it has none."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

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
