"""What is recorded of a state that another study of a bucket trained, where each process has its own list of these."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness.datasets import Dataset
from harness.ledger import trainings
from harness.ledger.provenance import read_provenance
from harness.search.grid_and_random import ListSource
from harness.tune.study_run import StudyRun
from harness.worker.trial_run import TrialRun, run_trial
from tests.harness.small_studies import GOOD, load
from tests.harness.tune.test_study_run import SilentTracker
from tests.harness.worker.tiny_trials import ALL, EPOCHS, Fits, dataset, fits, make_trial
from tests.s3 import Machine, share

__all__ = ["dataset", "fits"]  # fixtures

THEIRS = {"host": "other-machine"}


class Runs:
    """A driver, the process of its trial, and another study that trains the same."""

    def __init__(self, address: str, tmp_path: Path, dataset: Dataset) -> None:
        self.driver, self.worker, self.other = (
            Machine(address, root=tmp_path / name) for name in ("driver", "worker", "other")
        )
        self.trial, self.dataset = make_trial(dataset), dataset
        study, folder = load(tmp_path, GOOD), self.driver.folder / "demo"
        source = ListSource(study, [self.trial], folder)
        self.run = StudyRun(study, source, folder, dataset, Console(file=io.StringIO()), place=self.driver)
        trainings._remembered.clear()

    def train_elsewhere(self, epochs: int = EPOCHS) -> None:
        """Let the other study train the trial, as far as that."""
        share(self.other, "other/provenance.json", json.dumps([THEIRS]).encode())
        events = run_trial(self.trial, ALL, self.dataset, self.other.folder / "other", place=self.other)
        for event in events:
            if event.metrics["epoch"] == epochs < EPOCHS:
                break
        events.close()

    def begin(self) -> None:
        """Let the driver begin the trial."""
        self.run.begin(self.trial)

    def train(self) -> None:
        """Let a process train the trial and report it."""
        for event in run_trial(self.trial, ALL, self.dataset, self.worker.folder / "demo", place=self.worker):
            self.run.record(self.trial, event)
        self.run.end(self.trial)


@pytest.fixture
def runs(address: str, tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr("harness.tune.study_run.Tracker", SilentTracker)
    monkeypatch.setattr(trainings, "HOLDS_SECONDS", 1e12)
    return Runs(address, tmp_path, dataset)


@pytest.mark.parametrize("epochs", [2, EPOCHS])
def test_what_trained_a_state_is_recorded_where_its_process_alone_saw_it(runs: Runs, fits: Fits, epochs: int) -> None:
    runs.begin()  # and remembers that nobody has the training
    trainings._remembered.clear()
    runs.train_elsewhere(epochs)
    trainings._remembered.clear()
    fits.epochs.clear()
    runs.train()
    assert fits.epochs == list(range(epochs + 1, EPOCHS + 1))
    assert read_provenance(runs.run.folder) == [THEIRS]
    assert runs.run.num_epochs == len(fits.epochs)


def test_what_trained_a_state_is_not_recorded_where_its_driver_alone_saw_it(runs: Runs, fits: Fits) -> None:
    trainings.find_twins_in_bucket(runs.worker, runs.worker.folder / "demo" / "trials" / runs.trial.training_id)
    stale = dict(trainings._remembered)
    trainings._remembered.clear()
    runs.train_elsewhere()
    fits.epochs.clear()
    trainings._remembered.clear()
    runs.begin()
    trainings._remembered.clear()
    trainings._remembered.update(stale)
    runs.train()
    assert fits.epochs == list(range(1, EPOCHS + 1))
    assert read_provenance(runs.run.folder) == []
    assert runs.run.num_epochs == EPOCHS


def die_after_restoring(runs: Runs) -> None:
    with TrialRun(runs.trial, ALL, runs.worker.folder / "demo", "cpu", runs.worker) as trial_run:
        trial_run._read_checkpoint((1, 8, 8))


def train_one_epoch_and_die(runs: Runs) -> None:
    events = run_trial(runs.trial, ALL, runs.dataset, runs.worker.folder / "demo", place=runs.worker)
    for event in events:
        if event.metrics["epoch"] == 3:
            break
    events.close()


@pytest.mark.parametrize("die", [die_after_restoring, train_one_epoch_and_die])
def test_what_trained_a_state_is_recorded_though_the_process_that_took_it_over_died_untold(
    runs: Runs, die: Callable[[Runs], None]
) -> None:
    """The other study is gone when the next process begins, so that this study's own state must tell."""
    runs.train_elsewhere(2)
    trainings._remembered.clear()
    runs.begin()
    die(runs)
    states = [item.path for item in runs.other.list(runs.other.folder / "other" / "trials")]
    runs.other.remove(*states)
    runs.begin()
    runs.train()
    assert read_provenance(runs.run.folder) == [THEIRS]
