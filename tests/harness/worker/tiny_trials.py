"""Small trials on real digits, run in this process, and what they leave behind."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.datasets import Dataset, load_dataset
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.metrics import Measures
from harness.worker import trial_run as trial_module
from harness.worker.trial_run import run_trial
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
    return read_checkpoint(TrialFolder(folder, trial).list_own_states()[0])[0]


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
