"""A trial that is stopped or killed, however often, ends with the numbers of one that was not."""

import dataclasses
import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.datasets import Dataset
from harness.ledger.result import Row
from harness.ledger.trial_folder import TrialFolder
from harness.storage.objects import PlaceError
from harness.worker import trial_run as trial_module
from harness.worker.memory import MemoryShortageError
from harness.worker.trial_run import TrialRun, run_trial
from tests.harness.worker.tiny_trials import (
    ALL,
    EPOCHS,
    NONE,
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


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out"), RuntimeError("[enforce] DefaultCPUAllocator: can't allocate")],
)
def test_a_trial_without_memory_raises_and_goes_on_as_if_nothing_had_been(
    whole: Any, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    trial, measure = make_trial(dataset), TrialRun._measure_epoch

    def run_out(self: TrialRun, state: Any, epoch: Any, images: Any) -> Row:
        if epoch.epoch == 3:
            raise error
        return measure(self, state, epoch, images)

    monkeypatch.setattr(TrialRun, "_measure_epoch", run_out)
    with pytest.raises(MemoryShortageError):
        run(trial, dataset, tmp_path)
    monkeypatch.undo()
    assert result_of(trial, tmp_path).status == "failed"
    assert type(error).__name__ in log_of(trial, tmp_path)
    folder, rows = whole["vsc"]
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert_same_tensors(tensors_of(trial, tmp_path), tensors_of(trial, folder))


@both
@pytest.mark.parametrize("epochs_seen", range(EPOCHS))
@pytest.mark.parametrize(("every", "how"), [(1, "killed"), (3, "killed"), (3, "stopped")])
def test_a_trial_stopped_after_any_epoch_ends_as_if_it_had_not_been(
    whole: Any,
    dataset: Dataset,
    tmp_path: Path,
    fits: Fits,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    epochs_seen: int,
    every: int,
    how: str,
) -> None:
    folder, rows = whole[model]
    trial = make_trial(dataset, model)
    measures = dataclasses.replace(ALL, checkpoint_every=every)
    started = run_trial(trial, measures, dataset, tmp_path)
    seen = [next(started).metrics for _ in range(epochs_seen)]
    with monkeypatch.context() as patched:
        if how == "killed":  # a process that dies stores nothing on its way
            patched.setattr(trial_module.TrialRun, "leave", lambda *_: None)
        started.close()
    fits.epochs.clear()

    again = run(trial, dataset, tmp_path, measures)

    assert untimed(seen) == untimed(rows[:epochs_seen])
    assert untimed(again) == untimed(rows)
    assert_same_tensors(tensors_of(trial, tmp_path), tensors_of(trial, folder))
    stored = epochs_seen // every * every if how == "killed" else epochs_seen
    assert fits.epochs == list(range(stored + 1, EPOCHS + 1))
    assert [row["seconds"] for row in again[:stored]] == [row["seconds"] for row in seen[:stored]]


def test_stopping_again_and_again_changes_nothing(whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits) -> None:
    _, rows = whole["vsc"]
    trial = make_trial(dataset)
    for epoch in range(1, EPOCHS):
        started = run_trial(trial, ALL, dataset, tmp_path)
        for _ in range(epoch):
            next(started)
        started.close()
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == list(range(1, EPOCHS + 1))


def test_a_trial_that_ended_yields_its_events_again_without_training(
    whole: Any, dataset: Dataset, fits: Fits, tmp_path: Path
) -> None:
    trial = make_trial(dataset)
    rows = run(trial, dataset, tmp_path)
    fits.epochs.clear()
    assert run(trial, dataset, tmp_path) == rows
    assert fits.epochs == []


def cut(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "header-cut": content[:100],
        "tensors-cut": content[: len(content) // 2],
        "last-byte": content[:-1],
        "garbage": b"\xff" * len(content),
    }


@pytest.mark.parametrize("how", cut(b"").keys())
def test_a_checkpoint_that_is_cut_short_starts_the_trial_over_and_says_so(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits, how: str
) -> None:
    _, rows = whole["vsc"]
    trial = make_trial(dataset)
    started = run_trial(trial, ALL, dataset, tmp_path)
    for _ in range(2):
        next(started)
    started.close()
    (checkpoint,) = TrialFolder(tmp_path, trial).list_own_states()
    checkpoint.write_bytes(cut(checkpoint.read_bytes())[how])
    fits.epochs.clear()

    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == [1, 2, 3, 4]
    (warning,) = [line for line in log_of(trial, tmp_path).splitlines() if "WARNING" in line]
    assert f"{checkpoint}: cannot be read" in warning
    assert warning.endswith("the trial resumes from an earlier state")


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_a_state_that_cannot_be_read_just_now_is_not_trained_again(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    trial, opened = make_trial(dataset), Path.open
    started = run_trial(trial, ALL, dataset, tmp_path)
    for _ in range(2):
        next(started)
    started.close()
    (checkpoint,) = TrialFolder(tmp_path, trial).list_own_states()
    content = checkpoint.read_bytes()

    def fail(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == checkpoint:
            raise OSError(number, os.strerror(number))
        return opened(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        with pytest.raises(
            PlaceError, match=re.escape(f"{checkpoint}: cannot be read just now ({os.strerror(number)})")
        ):
            run(trial, dataset, tmp_path)
    assert (checkpoint.read_bytes(), TrialFolder(tmp_path, trial).read_result()) == (content, None)
    _, rows = whole["vsc"]
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == [1, 2, 3, 4]


def test_a_checkpoint_of_another_model_starts_the_trial_over(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    _, rows = whole["vsc"]
    trial, other = make_trial(dataset), make_trial(dataset, latent_dim=2)
    run(other, dataset, tmp_path, NONE)
    folder = TrialFolder(tmp_path, trial)
    folder.path.mkdir()
    (checkpoint,) = TrialFolder(tmp_path, other).list_own_states()
    checkpoint.rename(folder.path / checkpoint.name)
    fits.epochs.clear()
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == [1, 2, 3, 4]
    assert "the trial resumes from an earlier state" in log_of(trial, tmp_path)
