"""One trial on real digits: its events, its results, and what it leaves where it does not go well."""

import dataclasses
import math
import os
import pickle
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.datasets import Dataset
from harness.ledger.result import Ended, Epoch, Paused
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS
from harness.worker import evaluator as evaluations
from harness.worker import trial_run as trial_module
from harness.worker.memory import MemoryShortageError
from harness.worker.trial_run import run_trial
from tests.harness.worker.tiny_trials import (
    ALL,
    EPOCHS,
    NONE,
    STEPS,
    Fits,
    both,
    log_of,
    make_trial,
    result_of,
    run,
    tensors_of,
    untimed,
)
from tests.models.cases import assert_same_tensors

# A trial that is left alone


@both
def test_there_is_a_row_for_every_epoch_with_its_metrics(whole: Any, model: str) -> None:
    _, rows = whole[model]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows] == [STEPS, 2 * STEPS, 3 * STEPS, 4 * STEPS]
    for row in rows:
        assert {*TRAIN_METRICS, *TEST_METRICS, "seconds"} <= row.keys()
        assert ("sharpness" in row) == (model == "vsc")
        assert set(VALIDATION_METRICS).isdisjoint(row)
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float))
        assert row["train/loss"] == pytest.approx(float(row["train/rate"] or 0) + float(row["train/distortion"] or 0))
    losses = [float(row["train/loss"] or 0) for row in rows]
    assert losses == sorted(losses, reverse=True)  # it learns


def test_only_the_last_event_is_the_end_and_has_the_final_metrics(whole: Any, dataset: Dataset, tmp_path: Path) -> None:
    events = list(run_trial(make_trial(dataset), ALL, dataset, tmp_path))
    _, rows = whole["vsc"]
    final = {name for group in ALL.evaluate for name in EVALUATION_METRICS[group]}  # type: ignore[index]
    assert all(isinstance(event, Epoch) and final.isdisjoint(event.metrics) for event in events[:-1])
    assert isinstance(events[-1], Ended)
    assert events[-1].result.status == "finished"
    assert final <= rows[-1].keys()
    assert rows[-1]["test/elbo"] == pytest.approx(-rows[-1]["test/rate"] - rows[-1]["test/distortion"])
    assert rows[-1]["test/iw_bound"] > rows[-1]["test/elbo"] - 1


def test_the_folder_holds_the_result_that_the_end_carries_before_it_is_yielded(
    dataset: Dataset, tmp_path: Path
) -> None:
    trial = make_trial(dataset)
    for event in run_trial(trial, NONE, dataset, tmp_path):
        result = TrialFolder(tmp_path, trial).read_result()
        assert result == (event.result if isinstance(event, Ended) else None)


def test_a_trial_that_pauses_says_so_with_its_last_epoch_and_has_no_result(dataset: Dataset, tmp_path: Path) -> None:
    trial = dataclasses.replace(make_trial(dataset), until=2)
    for events in (list(run_trial(trial, ALL, dataset, tmp_path)) for _ in range(2)):  # trained, and read back
        assert [type(event) for event in events] == [Epoch, Paused]
        assert [event.metrics["epoch"] for event in events] == [1, 2]
    assert TrialFolder(tmp_path, trial).read_result() is None


def test_events_are_small_and_survive_a_process_boundary(dataset: Dataset, tmp_path: Path) -> None:
    events = list(run_trial(make_trial(dataset), ALL, dataset, tmp_path))
    sent = [pickle.dumps(event) for event in events]
    assert [pickle.loads(event) for event in sent] == events
    assert all(len(event) < 1000 for event in sent[:-1])


@both
def test_the_result_is_what_the_rows_said(whole: Any, dataset: Dataset, model: str) -> None:
    folder, rows = whole[model]
    result = result_of(make_trial(dataset, model), folder)
    assert (result.status, result.error, result.evaluated) == ("finished", None, ALL.evaluated)
    assert untimed(result.history) == [
        {k: v for k, v in row.items() if k not in result.metrics} for row in untimed(rows)
    ]
    assert result.metrics == {name: rows[-1][name] for name in result.metrics}
    assert result.device == "cpu"
    assert result.host
    assert result.peak_memory_mb is not None
    assert result.peak_memory_mb > 10


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system cannot begin a peak anew")
def test_the_memory_of_a_trial_is_not_that_of_an_earlier_one(dataset: Dataset, tmp_path: Path) -> None:
    large = np.ones(300_000_000, np.uint8)
    del large
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, NONE)
    peak = result_of(trial, tmp_path).peak_memory_mb
    assert peak is not None
    assert peak < before - 100


def test_the_log_has_every_epoch_in_the_trials_own_file_only(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path)
    log = log_of(trial, tmp_path)
    assert log.count("train/loss") == EPOCHS
    assert trial.label in log
    measured = [f"measures {name.split('@')[0]}" for name in result_of(trial, tmp_path).evaluated]
    assert len(measured) > 1
    assert [line.split(" INFO ")[1] for line in log.splitlines()[-len(measured) - 1 :]] == [*measured, "finished"]
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_the_same_trial_gives_the_same_numbers_in_another_folder(whole: Any, dataset: Dataset, tmp_path: Path) -> None:
    folder, rows = whole["vsc"]
    trial = make_trial(dataset)
    torch.manual_seed(99)
    torch.rand(7)  # the global generator is nobody's
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert_same_tensors(tensors_of(trial, tmp_path), tensors_of(trial, folder))


# Trials that do not go well


@pytest.mark.parametrize(("changes", "step"), [({"learning_rate": 1e18}, 2), ({"gamma_clamp": 0.0}, 1)])
def test_a_trial_that_diverges_ends_with_its_epoch_and_step(
    changes: dict[str, float], step: int, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    trial = make_trial(dataset, **changes)
    events = list(run_trial(trial, ALL, dataset, tmp_path))
    result = result_of(trial, tmp_path)
    assert events == [Ended(result)]
    assert events[-1].metrics == {}
    assert result.status == "diverged"
    assert result.error == f"the loss stopped being finite in epoch 1, at step {step}"
    assert (result.history, result.metrics, result.evaluated) == ([], {}, [])
    assert "diverged: the loss stopped" in log_of(trial, tmp_path)
    assert TrialFolder(tmp_path, trial).list_own_states() == []


def test_a_trial_that_diverges_late_keeps_the_epochs_before(
    whole: Any, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, rows = whole["vsc"]
    compute, calls = trial_module.compute_loss, []

    def compute_loss(*arguments: Any, **options: Any) -> float:
        calls.append(options)
        return math.inf if len(calls) == 3 else compute(*arguments, **options)

    monkeypatch.setattr(trial_module, "compute_loss", compute_loss)
    trial = make_trial(dataset)
    found = run(trial, dataset, tmp_path)
    result = result_of(trial, tmp_path)
    assert result.status == "diverged"
    assert result.error == f"the loss stopped being finite in epoch 3, at step {3 * STEPS}"
    assert [options["step"] for options in calls] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert untimed(result.history) == untimed(rows[:2]) == untimed(found[:-1])
    assert TrialFolder(tmp_path, trial).count_stored_epochs() == 2


@pytest.mark.parametrize("where", ["compute_sparsity", "compute_loss", "init_state"])
def test_an_error_ends_the_trial_as_failed_and_its_traceback_is_in_the_log(
    whole: Any, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: Fits, where: str
) -> None:
    _, rows = whole["vsc"]
    trial = make_trial(dataset)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken\nin two")

    with monkeypatch.context() as patch:
        patch.setattr(evaluations if where == "compute_sparsity" else trial_module, where, fail)
        events = list(run_trial(trial, ALL, dataset, tmp_path))
    result = result_of(trial, tmp_path)
    assert events[-1] == Ended(result)
    assert result.status == "failed"
    assert result.error == "RuntimeError: broken\nin two"
    assert result.evaluated == (["elbo@v2", "iw_bound@3v2"] if where == "compute_sparsity" else [])
    log = log_of(trial, tmp_path)
    assert "ERROR failed" in log
    assert "Traceback (most recent call last)" in log
    assert "in fail" in log

    trained = len(fits.epochs)
    assert trained == {"compute_sparsity": EPOCHS, "compute_loss": 1, "init_state": 0}[where]
    assert len(result.history) == (EPOCHS if where == "compute_sparsity" else 0)
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)  # the next run goes on
    assert len(fits.epochs) == (EPOCHS if where == "compute_sparsity" else trained + EPOCHS)
    assert result_of(trial, tmp_path).status == "finished"


def test_a_measure_that_fails_loses_none_of_the_others_and_is_the_only_one_made_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: Fits
) -> None:
    trial, calls = make_trial(dataset), []
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("sparsity",)))
    before = result_of(trial, tmp_path).metrics
    compute = evaluations.compute_iw_bound

    def fail_at_first(*arguments: Any, **options: Any) -> float:
        calls.append("iw_bound")
        if len(calls) == 1:
            raise torch.OutOfMemoryError("too much")
        return compute(*arguments, **options)

    monkeypatch.setattr(evaluations, "compute_iw_bound", fail_at_first)
    with pytest.raises(MemoryShortageError):
        run(trial, dataset, tmp_path)
    result = result_of(trial, tmp_path)
    assert (result.status, result.evaluated) == ("failed", ["sparsity@v2", "elbo@v2"])
    assert before.items() <= result.metrics.items()
    for name in ("compute_sparsity", "compute_bound"):
        monkeypatch.delattr(evaluations, name)
    run(trial, dataset, tmp_path)
    finished = result_of(trial, tmp_path)
    assert finished.status == "finished"
    assert result.metrics.items() < finished.metrics.items()
    assert len(fits.epochs) == EPOCHS


@pytest.mark.parametrize("where", ["images", "init_state", "compute_loss"])
def test_a_failure_before_its_state_is_there_takes_nothing_from_a_trial_that_had_ended(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: Fits, where: str
) -> None:
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("elbo",)))
    before, trained = result_of(trial, tmp_path), len(fits.epochs)
    if where == "compute_loss":  # its states are lost, and it is trained again
        for path in TrialFolder(tmp_path, trial).list_own_states():
            path.unlink()

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("too much")

    with monkeypatch.context() as patch:
        patch.setattr(*((trial_module.Images, "of") if where == "images" else (trial_module, where)), fail)
        with pytest.raises(MemoryShortageError):
            run(trial, dataset, tmp_path)
    failed = result_of(trial, tmp_path)
    assert failed == dataclasses.replace(before, status="failed", error="OutOfMemoryError: too much")
    if where != "compute_loss":
        run(trial, dataset, tmp_path)
        assert len(fits.epochs) == trained
        assert before.metrics.items() < result_of(trial, tmp_path).metrics.items()


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file can grow beyond a kilobyte, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_stopped_trial_whose_state_cannot_be_stored_has_no_result(
    dataset: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trial = make_trial(dataset)
    rows = run_trial(trial, dataclasses.replace(ALL, checkpoint_every=10), dataset, tmp_path)
    next(rows)
    request.getfixturevalue("small_files")
    rows.close()
    folder = TrialFolder(tmp_path, trial)
    assert folder.read_result() is None
    assert sorted(path.name for path in folder.path.iterdir()) == [f"began-{EPOCHS}.json", "log.txt"]
    assert "not stored: [Errno 27] File too large" in log_of(trial, tmp_path)


def test_an_interrupt_is_no_result(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = make_trial(dataset)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluations, "compute_sparsity", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(trial, dataset, tmp_path)
    assert TrialFolder(tmp_path, trial).read_result() is None
    assert TrialFolder(tmp_path, trial).count_stored_epochs() == EPOCHS
