"""One trial on real digits: events, results, and the same numbers however often it is interrupted."""

import dataclasses
import math
import os
import pickle
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.datasets import Dataset, load_dataset
from harness.ledger.result import Ended, Epoch, Paused, Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.metrics import EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS, Measures
from harness.worker import evaluator as evaluations
from harness.worker import trial_run as trial_module
from harness.worker.images import Images
from harness.worker.memory import MemoryShortageError
from harness.worker.trial_run import TrialRun, run_trial
from models.settings import TrialSettings

NUM_TRAIN, NUM_TEST, BATCH, EPOCHS = 300, 90, 100, 4
STEPS = NUM_TRAIN // BATCH
ALL = Measures(("elbo", "iw_bound", "sparsity"), iw_samples=3, checkpoint_every=1)
NONE = Measures((), iw_samples=3, checkpoint_every=1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    digits = load_dataset("digits")
    few = {"train_images": NUM_TRAIN, "train_labels": NUM_TRAIN, "test_images": NUM_TEST, "test_labels": NUM_TEST}
    return dataclasses.replace(digits, **{name: getattr(digits, name)[:count] for name, count in few.items()})


def make_trial(dataset: Dataset, model: str = "vsc", **changes: Any) -> Trial:
    spike = {"alpha": 0.3, "sharpness_schedule": "ramp"} if model == "vsc" else {}
    tiny: dict[str, Any] = {"model": model, "latent_dim": 3, "hidden": (8,), "batch_size": BATCH, "epochs": EPOCHS}
    return Trial(TrialSettings(**tiny | spike | changes), dataset.name, dataset.content_hash)


def untimed(rows: Sequence[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def run(trial: Trial, dataset: Dataset, folder: Path, measures: Measures = ALL) -> list[Row]:
    return [event.metrics for event in run_trial(trial, measures, dataset, folder)]


def result_of(trial: Trial, folder: Path) -> Result:
    result = TrialFolder(folder, trial).read_result()
    assert result is not None
    return result


def tensors_of(trial: Trial, folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(TrialFolder(folder, trial).list_checkpoints()[0])[0]


def assert_same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def log_of(trial: Trial, folder: Path) -> str:
    return TrialFolder(folder, trial).log.read_text()


class Fits:
    """Counts the epochs that are trained, and keeps the images that they see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs: list[int] = []
        self.images: list[torch.Tensor] = []
        fit = trial_module.fit

        def counting(state: Any, settings: Any, images: torch.Tensor) -> Iterator[Any]:
            self.images.append(images)
            for metrics in fit(state, settings, images):
                self.epochs.append(metrics.epoch)
                yield metrics

        monkeypatch.setattr(trial_module, "fit", counting)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    return Fits(monkeypatch)


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Row]]]:
    """For each model a folder in which its trial has ended, and the rows that it yielded."""
    ended = {}
    for model in ("vae", "vsc"):
        folder = tmp_path_factory.mktemp(model) / "study"
        ended[model] = (folder, run(make_trial(dataset, model), dataset, folder))
    return ended


both = pytest.mark.parametrize("model", ["vae", "vsc"])

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
    assert log.splitlines()[-1].endswith("INFO finished")
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_the_same_trial_gives_the_same_numbers_in_another_folder(whole: Any, dataset: Dataset, tmp_path: Path) -> None:
    folder, rows = whole["vsc"]
    trial = make_trial(dataset)
    torch.manual_seed(99)
    torch.rand(7)  # the global generator is nobody's
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert_same_tensors(tensors_of(trial, tmp_path), tensors_of(trial, folder))


# A trial that is cut short


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
    (checkpoint,) = TrialFolder(tmp_path, trial).list_checkpoints()
    checkpoint.write_bytes(cut(checkpoint.read_bytes())[how])
    fits.epochs.clear()

    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == [1, 2, 3, 4]
    (warning,) = [line for line in log_of(trial, tmp_path).splitlines() if "WARNING" in line]
    assert f"{checkpoint}: cannot be read" in warning
    assert warning.endswith("the trial resumes from an earlier state")


def test_a_checkpoint_of_another_model_starts_the_trial_over(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    _, rows = whole["vsc"]
    trial, other = make_trial(dataset), make_trial(dataset, latent_dim=2)
    run(other, dataset, tmp_path, NONE)
    folder = TrialFolder(tmp_path, trial)
    folder.path.mkdir()
    (checkpoint,) = TrialFolder(tmp_path, other).list_checkpoints()
    checkpoint.rename(folder.path / checkpoint.name)
    fits.epochs.clear()
    assert untimed(run(trial, dataset, tmp_path)) == untimed(rows)
    assert fits.epochs == [1, 2, 3, 4]
    assert "the trial resumes from an earlier state" in log_of(trial, tmp_path)


# Images


def sorted_images(images: torch.Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in images)


def test_validation_images_are_taken_out_of_the_training_images(dataset: Dataset) -> None:
    images = Images.of(dataset, 50, "cpu")
    assert images.validation is not None
    assert (len(images.train), len(images.validation), len(images.test)) == (NUM_TRAIN - 50, 50, NUM_TEST)
    together = sorted_images(torch.cat([images.train, images.validation]).flatten(1))
    assert together == sorted_images(torch.tensor(dataset.train_images).flatten(1))
    assert torch.equal(images.test, torch.tensor(dataset.test_images))
    assert images.shape == (1, 8, 8)
    again = Images.of(dataset, 50, "cpu")
    assert again.validation is not None
    assert torch.equal(again.validation, images.validation)


def test_without_validation_all_training_images_are_trained_on_in_order(dataset: Dataset) -> None:
    images = Images.of(dataset, 0, "cpu")
    assert images.validation is None
    assert torch.equal(images.train, torch.tensor(dataset.train_images))


def test_with_binary_pixels_what_is_measured_is_black_or_white_the_same_for_all_trials(
    dataset: Dataset, tmp_path: Path
) -> None:
    binary, grey = (Images.of(dataset, 50, "cpu", is_binary=is_binary) for is_binary in (True, False))
    assert torch.equal(binary.train, grey.train)  # which the trainer binarises
    assert binary.validation is not None
    for measured in (binary.test, binary.validation, binary.labelled[0]):
        assert set(measured.unique().tolist()) == {0, 255}
    assert torch.equal(binary.test, Images.of(dataset, 0, "cpu", is_binary=True).test)
    only_elbo = dataclasses.replace(NONE, evaluate=("elbo",))
    floors = []
    for binarisation in ("none", "static"):
        trial = make_trial(dataset, "vae", epochs=1, binarisation=binarisation)
        floors.append(run(trial, dataset, tmp_path / binarisation, only_elbo)[-1]["test/entropy_floor"])
    assert floors[0] > 1
    assert floors[1] == 0


def test_held_out_images_are_not_trained_on_and_give_metrics_of_their_own(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    _, rows = whole["vsc"]
    found = run(make_trial(dataset, num_validation=50), dataset, tmp_path, NONE)
    (seen,) = fits.images
    assert torch.equal(seen, Images.of(dataset, 50, "cpu").train)
    assert all(set(VALIDATION_METRICS) <= row.keys() for row in found)
    assert all(
        row["val/loss"] != row["train/loss"] != other["train/loss"] for row, other in zip(found, rows, strict=True)
    )
    assert all(row["val/elbo"] == pytest.approx(-row["val/rate"] - row["val/distortion"]) for row in found)
    assert all(0 < row["val/nonzero_fraction"] < 1 for row in found)


def test_metrics_are_of_the_images_they_name(dataset: Dataset, tmp_path: Path) -> None:
    trial = make_trial(dataset)
    rows = run(trial, dataset, tmp_path / "a", NONE)
    blank = dataclasses.replace(dataset, test_images=np.zeros_like(dataset.test_images))
    blank_rows = run(trial, blank, tmp_path / "elsewhere" / "b", NONE)
    for row, other in zip(rows, blank_rows, strict=True):
        assert row["test/loss"] != other["test/loss"]
        assert all(row[name] == other[name] for name in TRAIN_METRICS)


def test_where_images_are_held_out_the_test_images_are_looked_at_once_at_the_end(
    dataset: Dataset, tmp_path: Path
) -> None:
    trial = make_trial(dataset, num_validation=50)
    rows = run(trial, dataset, tmp_path / "a")
    blank = dataclasses.replace(dataset, test_images=np.zeros_like(dataset.test_images))
    blank_rows = run(trial, blank, tmp_path / "elsewhere" / "b")
    assert untimed(rows[:-1]) == untimed(blank_rows[:-1])
    assert not any(name.startswith("test/") for row in rows[:-1] for name in row)
    assert rows[-1]["test/elbo"] != blank_rows[-1]["test/elbo"]


# Evaluations


def test_what_is_evaluated_changes_neither_training_nor_other_metrics(
    whole: Any, dataset: Dataset, tmp_path: Path
) -> None:
    folder, rows = whole["vsc"]
    trial = make_trial(dataset)
    for evaluate in [(), ("elbo",), ("iw_bound",), ("sparsity",), ("sparsity", "elbo")]:
        here = tmp_path / "-".join(["with", *evaluate])
        found = run(trial, dataset, here, dataclasses.replace(ALL, evaluate=evaluate))
        expected = {name for group in evaluate for name in EVALUATION_METRICS[group]}  # type: ignore[index]
        assert result_of(trial, here).metrics.keys() == expected
        assert all(row[name] == full[name] for row, full in zip(untimed(found), rows, strict=True) for name in row)
        assert_same_tensors(tensors_of(trial, here), tensors_of(trial, folder))


def test_an_evaluation_added_later_trains_nothing_and_keeps_the_others_bit_for_bit(
    whole: Any, dataset: Dataset, tmp_path: Path, fits: Fits
) -> None:
    folder, _ = whole["vsc"]
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, evaluate=("elbo",)))
    first = result_of(trial, tmp_path)
    fits.epochs.clear()
    run(trial, dataset, tmp_path)
    second = result_of(trial, tmp_path)
    assert fits.epochs == []
    assert second.evaluated == ALL.evaluated
    assert second.history == first.history
    assert {name: second.metrics[name] for name in first.metrics} == first.metrics
    assert second.metrics == result_of(trial, folder).metrics


def test_a_trial_began_when_a_process_first_took_it_up_however_often_it_resumes_or_is_measured(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(dataset, "vae", epochs=2)
    now = [1000.0]
    monkeypatch.setattr(trial_module.time, "time", lambda: now[0])
    events = run_trial(trial, NONE, dataset, tmp_path)
    next(events)
    events.close()  # stopped after its first epoch
    for now[0], measures in ((2000.0, NONE), (3000.0, dataclasses.replace(NONE, evaluate=("elbo",)))):
        run(trial, dataset, tmp_path, measures)
        assert (result_of(trial, tmp_path).began, result_of(trial, tmp_path).ended) == (1000.0, now[0])
        result = result_of(trial, tmp_path)
        assert result.span is not None
        assert now[0] - result.span[0] < 60  # the pauses are no part of what it took
    next(tmp_path.glob("trials/*/began-2.json")).unlink()  # as of an earlier version, whose result alone says so
    assert TrialFolder(tmp_path, trial).read_beginning() == 1000.0
    longer = make_trial(dataset, "vae", epochs=3)  # goes on from the same state, and is another trial
    run(longer, dataset, tmp_path, NONE)
    assert result_of(longer, tmp_path).began == 3000.0


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_meanwhile_changes_nothing_of_what_a_trial_took(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    now = [50_000.0]
    monkeypatch.setattr(trial_module.time, "time", lambda: now[0])
    trial = make_trial(dataset, "vae", epochs=2)
    for _ in run_trial(trial, NONE, dataset, tmp_path):
        now[0] = 50_000.0 + step
    result = result_of(trial, tmp_path)
    assert result.span is not None
    assert 0 < result.span[1] - result.span[0] < 60
    assert result.began == 50_000.0 <= result.span[1]


def test_the_number_of_samples_changes_the_importance_weighted_bound_only(
    whole: Any, dataset: Dataset, tmp_path: Path
) -> None:
    folder, _ = whole["vsc"]
    trial = make_trial(dataset)
    run(trial, dataset, tmp_path, dataclasses.replace(ALL, iw_samples=9))
    few, many = result_of(trial, folder).metrics, result_of(trial, tmp_path).metrics
    assert {name for name in few if few[name] != many[name]} == {"test/iw_bound"}
    assert many["test/iw_bound"] > few["test/iw_bound"]


def test_every_measurement_has_noise_of_its_own(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stream, made = evaluations.make_stream, []

    def spy(seed: int, purpose: str, epoch: int, **options: Any) -> torch.Generator:
        made.append((seed, purpose, epoch))
        return make_stream(seed, purpose, epoch, **options)

    monkeypatch.setattr(evaluations, "make_stream", spy)
    run(make_trial(dataset, num_validation=50, seed=7), dataset, tmp_path)
    assert len(made) == len(set(made)) == 2 * EPOCHS + 4
    assert {seed for seed, _, _ in made} == {7}
    assert all(purpose.startswith("evaluate/") for _, purpose, _ in made)  # nor is any of it training's


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
    assert TrialFolder(tmp_path, trial).list_checkpoints() == []


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
