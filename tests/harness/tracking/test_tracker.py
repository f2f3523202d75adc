"""The thread that sends trials to MLflow, beside a store that is slow or silent."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.tracking import tracker as tracking
from harness.tracking.explain import Failure
from harness.tracking.tracker import Tracker
from models.settings import TrialSettings

TRIALS = [Trial(TrialSettings(model="vae", latent_dim=2, seed=seed), "digits", "hash") for seed in range(6)]


class SlowStore:
    """Takes its time for each trial; the last one may never come back."""

    seconds = 0.2
    silence = threading.Event()  # set: nobody waits any more

    def __init__(self, *_: object) -> None:
        self.run_ids: dict[str, str] = {}
        self.ended: list[str] = []

    def open(self, _tags: object) -> None:
        pass

    def sync(self, trial: Trial, *_: object) -> None:
        self.silence.wait(60 if trial is TRIALS[-1] and self.seconds > 1 else 0.2)
        self.run_ids[trial.trial_id] = "run"

    def attach(self, *_: object) -> None:
        pass

    def close(self, status: str, _interrupted: object) -> None:
        self.ended.append(status)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(tracking, "MlflowStore", SlowStore)
    monkeypatch.setattr(tracking, "describe_provenance", dict)
    monkeypatch.setattr(tracking, "GIVE_UP_SECONDS", 0.1)
    monkeypatch.setattr(tracking, "SILENCE_SECONDS", 0.5)
    made = Tracker("study", tmp_path, {}, folder=tmp_path / "study")
    for trial in TRIALS:
        made.update(trial, Result(status="finished"))
    return made


def test_a_slow_store_is_waited_for_as_long_as_it_gets_on(tracker: Any) -> None:
    assert tracker.send_rest() == 0
    tracker.close("FINISHED", artifacts={})
    assert tracker.problem is None
    assert tracker._store.ended == ["FINISHED"]
    assert len(tracker.run_ids) == len(TRIALS)


def test_a_study_that_cannot_be_trained_ends_the_run_that_has_begun_and_begins_none(
    tracker: Any, tmp_path: Path
) -> None:
    tracker.abandon()
    assert tracker._store.ended == ["FAILED"]
    new = Tracker("study", tmp_path, {}, folder=tmp_path / "study")
    new.look_at_old_store()
    new.abandon()
    assert new._store is None
    (tmp_path / "mlflow.db").touch()
    new.look_at_old_store()
    new.abandon()
    assert new._store.ended == ["FAILED"]  # type: ignore[attr-defined]


def test_a_store_that_falls_silent_is_a_problem_that_is_reported(tracker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlowStore, "seconds", 2.0)
    monkeypatch.setattr(SlowStore, "silence", threading.Event())
    assert tracker.send_rest() == 1
    tracker.close("FINISHED", artifacts={})
    assert tracker.problem.reason == "it does not answer"
    assert tracker._store.ended == []
    SlowStore.silence.set()


def test_a_store_that_somebody_has_to_mend_is_told_of_once_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class OldStore(SlowStore):
        def open(self, _tags: object) -> None:
            raise ValueError("attempt to write a readonly database")

    monkeypatch.setattr(tracking, "MlflowStore", OldStore)
    monkeypatch.setattr(tracking, "describe_provenance", dict)
    told: list[Failure] = []
    tracker = Tracker("study", tmp_path, {}, told.append, folder=tmp_path / "study")
    for trial in TRIALS:
        tracker.update(trial, Result(status="finished"))
    started = time.monotonic()
    assert tracker.send_rest() == len(TRIALS)  # none is counted twice
    assert time.monotonic() - started < tracking.GIVE_UP_SECONDS / 2
    assert told == [tracker.problem]
    assert tracker.problem is not None
    assert tracker.problem.fix
