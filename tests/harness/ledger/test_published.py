"""What is published of a trial is all of its result, and is taken over whole or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from harness.ledger.provenance import read_provenance
from harness.ledger.published import (
    KEPT,
    UNFINISHED,
    HasEnded,
    PublishedTrials,
    is_measured,
    publish_tables,
    read_row,
    take_published,
)
from harness.ledger.result import Result
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from models.settings import TrialSettings
from tests.harness.ledger.test_tables import HISTORY, RESULT, STUDY, TRIAL

MEASURED = replace(
    RESULT, evaluated=["elbo@v3", "latents"], history=[{k: v for k, v in r.items() if v is not None} for r in HISTORY]
)
VAE = Trial(TrialSettings(model="vae", latent_dim=2, hidden=(8,), epochs=3), "digits", "d" * 64)
DIVERGED = Result(status="diverged", error="the loss stopped being finite", device="cpu")


def measured(*names: str) -> HasEnded:
    """Whether a trial that has finished was measured in these ways."""
    return lambda _, result: result.status != "finished" or set(names) <= set(result.evaluated)


def store(folder: Path, trials: dict[Trial, Result]) -> Path:
    """A study's folder as a run leaves it."""
    for trial, result in trials.items():
        own = TrialFolder(folder, trial)
        own.path.mkdir(parents=True)
        own.arrays["latents"].parent.mkdir(exist_ok=True)
        np.savez(own.arrays["latents"], kl=np.arange(4.0))
        own.write_result(result)
    (folder / "study.yaml").write_text("name: demo")
    (folder / "provenance.json").write_text('[{"host": "theirs"}]')
    write_tables(folder, build_tables(STUDY, trials.items(), {}))
    return folder


def test_rows_of_the_tables_hold_all_of_a_result() -> None:
    trials, history = build_tables(STUDY, [(TRIAL, MEASURED), (VAE, DIVERGED)], {})
    for trial, result, row in zip((TRIAL, VAE), (MEASURED, DIVERGED), trials.to_dict("records"), strict=True):
        epochs = history[history["trial_id"] == trial.trial_id].drop(columns="trial_id")
        assert read_row({str(k): v for k, v in row.items()}, epochs) == result


def test_another_machine_takes_published_trials_over_and_writes_the_same_tables(tmp_path: Path) -> None:
    there = store(tmp_path / "there" / "demo", {TRIAL: MEASURED, VAE: DIVERGED})
    place = publish_tables(there, tmp_path / "kept", [TRIAL, VAE], is_whole=True)
    here = tmp_path / "here" / "demo"
    assert take_published(PublishedTrials(tmp_path / "kept"), [TRIAL, VAE], measured("latents"), here) == 2
    assert TrialFolder(here, TRIAL).read_result() == MEASURED
    assert TrialFolder(here, VAE).read_result() == DIVERGED
    assert read_provenance(here) == [{"host": "theirs"}]
    again = [(t, TrialFolder(here, t).read_result() or DIVERGED) for t in (TRIAL, VAE)]
    for name, table in zip(("trials", "history"), build_tables(STUDY, again, {}), strict=True):
        pd.testing.assert_frame_equal(table, pd.read_parquet(place / f"{name}.parquet"), check_dtype=False)
    assert take_published(PublishedTrials(tmp_path / "kept"), [TRIAL, VAE], measured("latents"), here) == 0


def test_a_trial_that_was_not_measured_so_or_that_failed_is_not_taken(tmp_path: Path) -> None:
    failed = Result(status="failed", error="out of memory", evaluated=["elbo@v3"])
    there = store(tmp_path / "there" / "demo", {TRIAL: MEASURED, VAE: failed})
    publish_tables(there, tmp_path / "kept", [TRIAL, VAE], is_whole=True)
    published, here = PublishedTrials(tmp_path / "kept"), tmp_path / "here" / "demo"
    assert take_published(published, [TRIAL], measured("elbo@v4"), here) == 0
    assert take_published(published, [VAE], measured("elbo@v3"), here) == 0
    assert take_published(published, [TRIAL], measured("elbo@v3"), here) == 1
    assert failed.status not in KEPT


def test_what_stopped_a_trial_early_is_published_and_decides_whether_it_is_taken(tmp_path: Path) -> None:
    stopped = replace(MEASURED, status="stopped", stopped_by='{"name": "asha"}')
    there = store(tmp_path / "there" / "demo", {TRIAL: stopped})
    publish_tables(there, tmp_path / "kept", [TRIAL], is_whole=True)
    published, here = PublishedTrials(tmp_path / "kept"), tmp_path / "here" / "demo"
    assert take_published(published, [TRIAL], lambda _, result: result.stopped_by == '{"name": "median"}', here) == 0
    assert take_published(published, [TRIAL], lambda _, result: result.stopped_by == stopped.stopped_by, here) == 1


def test_an_epoch_takes_the_mean_over_the_epochs_that_were_trained(tmp_path: Path) -> None:
    store(tmp_path / "kept" / "demo", {TRIAL: replace(MEASURED, status="stopped")})  # after 2 of 3 epochs, and 1.75 s
    published = PublishedTrials(tmp_path / "kept")
    assert published.find_seconds_per_epoch("digits") == 0.875
    assert published.find_seconds_per_epoch("mnist") is None


def test_tables_that_do_not_say_what_was_measured_give_nothing(tmp_path: Path) -> None:
    folder = store(tmp_path / "kept" / "demo", {TRIAL: MEASURED})
    pd.read_parquet(folder / "trials.parquet").drop(columns="evaluated").to_parquet(folder / "trials.parquet")
    assert PublishedTrials(tmp_path / "kept").find(TRIAL, measured()) is None


def test_a_table_says_whether_all_that_finished_was_measured_so(tmp_path: Path) -> None:
    folder = store(tmp_path / "kept" / "demo", {TRIAL: MEASURED, VAE: DIVERGED})
    table = pd.read_parquet(folder / "trials.parquet")
    assert is_measured(table, ["elbo@v3", "latents"])
    assert not is_measured(table, ["elbo@v4"])
    assert not is_measured(table.drop(columns="evaluated"), [])


def test_what_is_not_whole_waits_apart_until_it_is(tmp_path: Path) -> None:
    kept, there = tmp_path / "kept", store(tmp_path / "there" / "demo", {TRIAL: MEASURED, VAE: DIVERGED})
    (kept / "demo").mkdir(parents=True)
    (kept / "demo" / "trials.parquet").write_text("of last year")
    place = publish_tables(there, kept, [TRIAL], is_whole=False)
    assert place == kept / UNFINISHED / "demo"
    assert list(pd.read_parquet(place / "trials.parquet")["trial_id"]) == [TRIAL.trial_id]
    assert [path.name for path in (place / "exhibits").iterdir()] == [f"{TRIAL.trial_id}-latents.npz"]
    assert (kept / "demo" / "trials.parquet").read_text() == "of last year"
    assert PublishedTrials(kept).find(TRIAL, measured("latents")) == (MEASURED, place)
    publish_tables(there, kept, [TRIAL, VAE], is_whole=True)
    assert sorted(path.name for path in kept.iterdir()) == ["demo"]
    assert len(pd.read_parquet(kept / "demo" / "trials.parquet")) == 2
