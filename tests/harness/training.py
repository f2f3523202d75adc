"""Train studies in this process, without the seconds that Ray takes to start, and read what studies leave."""

from pathlib import Path
from typing import Any

import pandas as pd

from harness.datasets import load_dataset
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.study import Study
from harness.tracking.mlflow_store import MlflowStore
from harness.worker.trial_run import run_trial


def train_here(study: Study, results: Path, *, at_most: int | None = None) -> None:
    """Train the trials of a grid or random study, or the first of them, one after another, and write its tables.

    They train to their ends: there is no scheduler. MLflow hears nothing.
    """
    dataset, folder = load_dataset(study.dataset), results / study.name
    ended = []
    for trial in plan_trials(study, dataset)[:at_most]:
        list(run_trial(trial, study.measures, dataset, folder))
        result = TrialFolder(folder, trial).read_result()
        assert result is not None
        ended.append((trial, result))
    write_tables(folder, build_tables(study, ended, {}))


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials of a study, and their epochs."""
    return pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(folder / "history.parquet")


def runs_of(results: Path, study: str = "small") -> list[Any]:
    """MLflow's runs of its trials."""
    return MlflowStore(study, results, create=False)._search("tags.`spikeslab.kind` = 'trial'")
