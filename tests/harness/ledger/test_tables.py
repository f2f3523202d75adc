"""The two tables that a study leaves behind."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.ledger.result import Result, Row
from harness.ledger.tables import TRIAL_COLUMNS, build_tables, write_tables
from harness.ledger.trial import Phase, Trial
from harness.study import Study
from models.setting import SETTINGS
from models.settings import TrialSettings

ROOT = Path(__file__).parents[3]
TRIAL = Trial(TrialSettings(model="vsc", latent_dim=4, alpha=0.2, hidden=(8,), epochs=3, seed=1), "digits", "d" * 64)
STUDY = Study.model_validate({"name": "demo", "dataset": "digits", "space": [{"model": "vae", "latent_dim": 2}]})
HISTORY: list[Row] = [
    {"epoch": 1, "step": 10, "train/loss": 0.1 + 0.2, "sharpness": None, "seconds": 1.5},
    {"epoch": 2, "step": 20, "train/loss": 1e-300, "sharpness": 50.0, "seconds": 0.25},
]
RESULT = Result(
    status="finished",
    history=HISTORY,
    metrics={"test/elbo": -1.0 / 3.0, "code/active_units": 2.0},
    evaluated=["elbo"],
    peak_memory_mb=12.5,
    device="cpu",
)


def make_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    vae = Trial(TrialSettings(model="vae", latent_dim=2, hidden=(8, 4)), "digits", "d" * 64)
    diverged = Result(status="diverged", error="the loss stopped being finite")
    return build_tables(STUDY, [(TRIAL, RESULT), (vae, diverged)], {TRIAL.trial_id: "run-1"})


def test_the_trials_table_has_one_row_per_trial_in_order_and_the_promised_types() -> None:
    trials, _ = make_tables()
    assert list(trials.columns) == [*TRIAL_COLUMNS, "code/active_units", "test/elbo"]
    assert {name: str(trials[name].dtype) for name in TRIAL_COLUMNS} == dict(TRIAL_COLUMNS)
    assert str(trials["test/elbo"].dtype) == "float64"
    first, second = trials.to_dict("records")
    assert first["trial_id"] == TRIAL.trial_id
    assert {k: first[k] for k in ("study", "status", "dataset", "model", "latent_dim", "alpha", "seed")} == {
        "study": "demo",
        "status": "finished",
        "dataset": "digits",
        "model": "vsc",
        "latent_dim": 4,
        "alpha": 0.2,
        "seed": 1,
    }
    assert (json.loads(first["hidden"]), json.loads(second["hidden"])) == ([8], [8, 4])
    assert (first["epochs"], first["epochs_trained"], first["train_seconds"]) == (3, 2, 1.75)
    assert (first["mlflow_run_id"], first["peak_memory_mb"], first["test/elbo"]) == ("run-1", 12.5, -1 / 3)
    assert (second["status"], second["error"], second["model"]) == ("diverged", "the loss stopped being finite", "vae")
    for missing in (
        "alpha",
        "gamma_link",
        "gamma_clamp",
        "sharpness_schedule",
        "mlflow_run_id",
        "peak_memory_mb",
        "test/elbo",
    ):
        assert pd.isna(second[missing])


def test_the_history_table_has_one_row_per_trial_and_epoch() -> None:
    _, history = make_tables()
    assert list(history.columns) == ["trial_id", "epoch", "seconds", "sharpness", "step", "train/loss"]
    assert [str(dtype) for dtype in history.dtypes] == ["string", "Int64", *["float64"] * 4]
    assert list(history["epoch"]) == [1, 2]
    assert set(history["trial_id"]) == {TRIAL.trial_id}
    assert history["train/loss"].tolist() == [0.1 + 0.2, 1e-300]
    assert pd.isna(history["sharpness"][0])


def test_tables_without_trials_have_their_columns_and_types() -> None:
    trials, history = build_tables(STUDY, [], {})
    assert {name: str(dtype) for name, dtype in trials.dtypes.items()} == dict(TRIAL_COLUMNS)
    assert {name: str(dtype) for name, dtype in history.dtypes.items()} == {"trial_id": "string", "epoch": "Int64"}


def test_every_setting_has_a_column() -> None:
    assert SETTINGS.keys() <= TRIAL_COLUMNS.keys()


def test_columns_of_settings_have_the_types_that_published_tables_have() -> None:
    published = pd.read_parquet(ROOT / "studies" / "published" / "reference-check" / "trials.parquet")
    types = {name: str(dtype) for name, dtype in published.dtypes.items() if "/" not in str(name)}
    assert types == {name: dtype for name, dtype in TRIAL_COLUMNS.items() if name in types}
    assert {"hidden", "alpha", "latent_dim", "gamma_link", "randomness"} < types.keys()


def test_tables_survive_a_round_trip_through_their_files(tmp_path: Path) -> None:
    tables = make_tables()
    paths = write_tables(tmp_path, tables)
    assert [path.name for path in paths] == ["trials.parquet", "history.parquet"]
    for path, table in zip(paths, tables, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.parquet", "trials.parquet"]


def test_a_table_that_cannot_be_written_leaves_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = make_tables()
    paths = write_tables(tmp_path, tables)
    before = [path.read_bytes() for path in paths]

    def fail(frame: pd.DataFrame, path: Path, **_: object) -> None:
        path.write_bytes(b"PAR1 half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="No space left"):
        write_tables(tmp_path, (tables[0].head(0), tables[1].head(0)))
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.parquet", "trials.parquet"]


def test_the_epochs_of_trials_are_there_before_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a figure that is drawn meanwhile would lack them."""
    written: list[str] = []
    monkeypatch.setattr("harness.ledger.tables.write_atomically", lambda path, _: written.append(path.name))
    paths = write_tables(tmp_path, make_tables())
    assert written == ["history.parquet", "trials.parquet"]
    assert [path.name for path in paths] == ["trials.parquet", "history.parquet"]


def test_only_trials_of_the_search_are_judged_by_its_constraints() -> None:
    """Those that confirm train in full, so a bound on the time of a short trial is not meant for them."""
    constraint = "train_seconds <= 1"
    search = {"sampler": "tpe", "num_trials": 1, "constraints": [constraint]}
    study = Study.model_validate(STUDY.model_dump(mode="json", exclude_defaults=True) | {"search": search})
    phases: tuple[Phase, ...] = ("search", "select", "confirm")
    trials, _ = build_tables(study, [(replace(TRIAL, phase=phase), RESULT) for phase in phases], {})
    assert trials["violates"].fillna("").tolist() == [constraint, "", ""]
