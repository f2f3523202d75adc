import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.tables import TableError, join_studies, load_tables, of_search
from analysis.tables.configurations import number_configurations
from analysis.tables.series import varying_settings
from analysis.tables.tables import NOT_SETTINGS, settings_of
from harness.ledger.tables import TRIAL_COLUMNS as WRITTEN
from models.setting import SETTINGS
from tests.analysis.synthetic import SyntheticStudy


@pytest.fixture
def folder(quickstart: SyntheticStudy, tmp_path: Path) -> Path:
    return quickstart.write(tmp_path)


def rewrite(file: Path, **columns: object) -> None:
    pd.read_parquet(file).assign(**columns).to_parquet(file)


def test_tables_that_the_harness_wrote_are_loaded(folder: Path) -> None:
    tables = load_tables(folder)
    assert len(tables.trials) == 60
    assert len(tables.history) == 60 * 30


@pytest.mark.parametrize("name", ["trials.parquet", "history.parquet"])
def test_a_missing_table_is_one_sentence_with_the_fix(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(TableError, match=rf"{name} does not exist; .*spikeslab collect STUDY.*spikeslab run"):
        load_tables(folder)


@pytest.mark.parametrize("name", ["trials.parquet", "history.parquet"])
@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_a_table_cut_short_is_refused(folder: Path, name: str, kept: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    with pytest.raises(TableError, match=f"{name} is cut short .*spikeslab collect"):
        load_tables(folder)


def test_a_missing_column_is_named(folder: Path) -> None:
    file = folder / "trials.parquet"
    pd.read_parquet(file).drop(columns="learning_rate").to_parquet(file)
    with pytest.raises(TableError, match=r"trials\.parquet has no column learning_rate"):
        load_tables(folder)


@pytest.mark.parametrize(
    "column", ["phase", "sampler", "scheduler", "objectives", "directions", "sharpness", "epochs_trained"]
)
def test_what_tells_how_a_study_searched_must_be_there(folder: Path, column: str) -> None:
    file = folder / "trials.parquet"
    pd.read_parquet(file).drop(columns=column).to_parquet(file)
    with pytest.raises(TableError, match=rf"trials\.parquet has no column {column}; .*spikeslab collect"):
        load_tables(folder)


@pytest.mark.parametrize("column", ["latent_dim", "test/elbo", "train_seconds/total"])
def test_text_in_a_column_of_numbers_is_refused(folder: Path, column: str) -> None:
    rewrite(folder / "trials.parquet", **{column: "many"})
    with pytest.raises(TableError, match=f"column {column} should hold number"):
        load_tables(folder)


def test_numbers_in_a_column_of_text_are_refused(folder: Path) -> None:
    rewrite(folder / "trials.parquet", model=1)
    with pytest.raises(TableError, match="column model should hold text"):
        load_tables(folder)


def test_empty_cells_where_a_value_must_be_are_refused(folder: Path) -> None:
    rewrite(folder / "trials.parquet", seed=np.nan)
    with pytest.raises(TableError, match="column seed has empty cells"):
        load_tables(folder)


def test_an_unknown_status_is_refused(folder: Path) -> None:
    rewrite(folder / "trials.parquet", status="done")
    with pytest.raises(TableError, match="column status has 'done', which is none of finished"):
        load_tables(folder)


def test_an_unknown_phase_is_refused(folder: Path) -> None:
    rewrite(folder / "trials.parquet", phase="test")
    with pytest.raises(TableError, match="column phase has 'test', which is none of search, select, confirm"):
        load_tables(folder)


def test_a_study_with_held_out_images_has_no_test_loss_by_epoch(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.random_search(2)
    assert "test/loss" not in pd.read_parquet(study.write(tmp_path) / "history.parquet")
    history = load_tables(tmp_path).history
    assert history["test/loss"].isna().all()
    assert history["val/loss"].notna().all()


def test_older_tables_differ_in_no_setting_from_todays(folder: Path) -> None:
    today, file = load_tables(folder), folder / "trials.parquet"
    pd.read_parquet(file).drop(columns="randomness").to_parquet(file)
    assert varying_settings(join_studies({"old": load_tables(folder), "new": today}).trials) == varying_settings(
        today.trials
    )


def test_every_column_that_the_harness_writes_is_either_a_setting_or_known_not_to_be_one() -> None:
    settings = {*SETTINGS, "dataset"} - {"seed"}
    assert set(NOT_SETTINGS) == set(WRITTEN) - settings
    kinds = {name: "text" if WRITTEN[name] == "string" else "number" for name in NOT_SETTINGS}
    assert kinds == NOT_SETTINGS


def test_a_setting_that_nothing_knows_tells_trials_apart_whatever_its_type(folder: Path) -> None:
    file = folder / "trials.parquet"
    num = len(pd.read_parquet(file))
    rewrite(
        file,
        scale=pd.array([1, 2] * (num // 2), dtype="Int64"),
        network=pd.array(["mlp", "conv"] * (num // 2), dtype="string"),
        temperature=np.nan,
    )
    trials = load_tables(folder).trials
    assert {"scale", "network", "temperature"} < set(settings_of(trials))
    assert {"scale", "network"} < set(varying_settings(trials))
    assert [str(trials[name].dtype) for name in ("scale", "network", "temperature")] == ["int64", "str", "float64"]


def test_a_setting_that_older_tables_lack_is_that_of_todays_trials_of_the_model_where_these_agree(
    quickstart: SyntheticStudy,
) -> None:
    older = quickstart.tables()
    scale = older.trials["model"].map({"vsc": 0.5, "vae": np.nan})
    joined = join_studies({"old": older, "new": replace(older, trials=older.trials.assign(scale=scale))}).trials
    assert varying_settings(joined) == varying_settings(older.trials)
    assert number_configurations(joined).nunique() == number_configurations(older.trials).nunique()


def test_a_setting_that_older_tables_lack_stays_unknown_where_todays_trials_differ_in_it(
    quickstart: SyntheticStudy,
) -> None:
    older = quickstart.tables()
    scale = [0.5 + seed for seed in older.trials["seed"]]
    joined = join_studies({"new": replace(older, trials=older.trials.assign(scale=scale)), "old": older}).trials
    assert joined.loc[joined["study"] == "old", "scale"].isna().all()
    assert joined.loc[joined["study"] == "new", "scale"].tolist() == scale


def test_trials_of_the_search_are_told_from_those_that_confirm(quickstart: SyntheticStudy) -> None:
    quickstart.add("vae", 8, 7, phase="select")
    quickstart.add("vae", 8, 8, phase="confirm")
    searched = of_search(quickstart.tables())
    assert len(searched.trials) == 60
    assert set(searched.history["trial_id"]) == set(searched.trials["trial_id"])


def test_joined_studies_keep_their_rows_apart_by_name(quickstart: SyntheticStudy, one_trial: SyntheticStudy) -> None:
    joined = join_studies({"a": quickstart.tables(), "b": one_trial.tables()})
    assert joined.trials["study"].value_counts().to_dict() == {"a": 60, "b": 1}
    assert joined.history["study"].value_counts().to_dict() == {"a": 60 * 30, "b": 30}


def test_a_table_of_many_metrics_can_be_added_to(quickstart: SyntheticStudy, tmp_path: Path) -> None:
    """Of a study that measures everything; pandas warns of a table whose columns were set one by one."""
    folder = quickstart.write(tmp_path)
    file = folder / "trials.parquet"
    many = pd.DataFrame({f"test/measured_{i}": np.arange(60.0) for i in range(150)})
    pd.concat([pd.read_parquet(file), many], axis=1).to_parquet(file)
    tables = load_tables(folder)
    for one in (tables, join_studies({"quickstart": tables, "again": tables})):
        assert {"more", "still_more"} <= {*one.trials.assign(more=1, still_more=2)}
        assert one.trials["test/measured_7"].notna().all()


def test_a_doubled_trial_is_refused(folder: Path) -> None:
    rewrite(folder / "trials.parquet", trial_id="t00007")
    with pytest.raises(TableError, match="trial_id must be unique, t00007 is doubled"):
        load_tables(folder)


def test_a_doubled_epoch_is_refused(folder: Path) -> None:
    rewrite(folder / "history.parquet", epoch=1)
    with pytest.raises(TableError, match="trial_id and epoch must be unique"):
        load_tables(folder)


def test_columns_that_no_trial_filled_have_the_type_they_would_have(folder: Path) -> None:
    rewrite(folder / "trials.parquet", alpha=None, gamma_link=None)
    trials = load_tables(folder).trials
    assert trials["alpha"].dtype == "float64"
    assert pd.api.types.is_string_dtype(trials["gamma_link"])


def test_nullable_types_become_plain_ones(folder: Path) -> None:
    rewrite(folder / "trials.parquet", alpha=pd.Series([None, 0.5] * 30, dtype="Float64"))
    trials = load_tables(folder).trials
    assert trials["alpha"].dtype == "float64"
    assert trials["latent_dim"].dtype == "int64"
    assert trials["model"].dtype == "str"


def test_a_study_that_has_only_begun_has_an_empty_history(folder: Path) -> None:
    pd.DataFrame({"trial_id": [], "epoch": []}).to_parquet(folder / "history.parquet")
    assert load_tables(folder).history.empty


def test_infinite_metrics_become_nan(folder: Path) -> None:
    rewrite(folder / "history.parquet", **{"train/loss": np.inf})
    rewrite(folder / "trials.parquet", **{"test/elbo": -np.inf})
    tables = load_tables(folder)
    assert tables.history["train/loss"].isna().all()
    assert tables.trials["test/elbo"].isna().all()


def test_tables_below_a_name_that_is_not_utf_8_are_not_called_damaged(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"m\xfcller")
    shutil.copytree(folder, place)
    with pytest.raises(TableError, match="its name is not UTF-8, so that it cannot be read; rename the folder"):
        load_tables(place)
