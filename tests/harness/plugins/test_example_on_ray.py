"""The example of docs/plugin-example on Ray, with two workers, which have its code from the driver alone."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.commands.outcome import Outcome
from harness.commands.overview import summarise_status
from harness.plugins.use import use_plugins
from harness.storage.place import Folder
from harness.study.file import load_study
from tests.e2e.conftest import REPOSITORY

Run = Callable[..., tuple[Outcome, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(REPOSITORY / "docs" / "plugin-example", tmp_path / "example")
    yield tmp_path / "example"
    use_plugins(())


def read_tables(results: Path) -> tuple[pd.DataFrame, Any]:
    record = json.loads((results / "laplace" / "provenance.json").read_text())
    return pd.read_parquet(results / "laplace" / "trials.parquet"), record


@pytest.mark.slow
def test_the_example_runs_and_a_change_of_its_code_trains_anew_what_it_makes(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    study, code = load_study(folder / "laplace.yaml"), (folder / "my_parts.py").read_text()
    (folder / "my_parts.py").unlink()  # what workers run is what the driver has read
    outcome, _ = run(study)
    assert (outcome.num_done, outcome.num_failed, outcome.num_trained) == (10, 0, 10)
    trials, record = read_tables(tmp_path / "results")
    assert set(trials["dataset"]) == {"stripes"}
    assert trials.groupby(["scale", "network"]).size().to_dict() == dict.fromkeys(
        [(0.5, "mlp"), (0.5, "residual"), (1.0, "mlp"), (1.0, "residual")], 2
    )
    assert trials["test/elbo"].notna().all()
    (plugin,) = study.loaded_plugins
    assert record[-1]["plugin.my_parts.sha256"] == plugin.sha256

    (folder / "my_parts.py").write_text(code.replace("A Laplace posterior", "Another Laplace posterior"))
    changed = load_study(folder / "laplace.yaml")
    outcome, printed = run(changed)
    assert (outcome.num_done, outcome.num_trained) == (10, 8)  # all but those of the VAE
    assert f"my_parts has changed since the last run ({plugin.sha256[:8]}, now " in printed
    again, record = read_tables(tmp_path / "results")
    assert [entry["plugin.my_parts.sha256"] for entry in record] == [
        plugin.sha256,
        changed.loaded_plugins[0].sha256,
    ]
    kept = ["test/elbo", "test/rate"]  # a comment changes no number
    before, after = (table.sort_values(["model", "seed", *kept])[kept] for table in (trials, again))
    assert before.to_numpy().tolist() == after.to_numpy().tolist()
    assert run(changed)[0].num_trained == 0
    assert summarise_status(changed, Folder(tmp_path / "results"))


@pytest.mark.slow
def test_trials_of_plugins_that_share_a_core_train_in_one_engine(run: Run, folder: Path, tmp_path: Path) -> None:
    alone, _ = run(load_study(folder / "laplace.yaml"), tmp_path / "alone")
    fused, _ = run(load_study(folder / "laplace.yaml", ["resources.cpu=0.25"]), tmp_path / "fused")
    assert alone.num_done == fused.num_done == 10
    tables = [read_tables(tmp_path / name)[0].set_index("trial_id")["test/elbo"] for name in ("alone", "fused")]
    pd.testing.assert_series_equal(*tables)
