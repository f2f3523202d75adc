"""What trials ask of the other studies of their results, however many there are."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.commands.overview import read_standings
from harness.datasets import load_dataset
from harness.ledger import trainings
from harness.ledger.names import TRIALS
from harness.ledger.result import Row
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import count_epochs_to_train, plan_trials
from harness.storage.place import Folder, Item
from tests.harness.ledger.test_trial_folder import TRIAL, change
from tests.harness.small_studies import ALPHA, GOOD, edit, load

ROWS: list[Row] = [{"epoch": 1, "step": 10, "seconds": 1.0}, {"epoch": 2, "step": 20, "seconds": 1.0}]


@dataclass(frozen=True)
class Counting(Folder):
    """A bucket whose objects are the files of another folder; it counts what it is asked."""

    there: Path = Path()
    asked: list[str] = field(default_factory=list, compare=False)
    is_remote = True

    def list_folders(self, folder: Path) -> Sequence[str]:
        self.asked.append(f"{folder.relative_to(self.folder)}/")
        return super().list_folders(self.there / folder.relative_to(self.folder))

    def list(self, folder: Path, *, deep: bool = True) -> Sequence[Item]:
        self.asked.append(str(folder.relative_to(self.folder)))
        files = [path for path in (self.there / folder.relative_to(self.folder)).rglob("*") if path.is_file()]
        return [Item(self.folder / path.relative_to(self.there), path.stat().st_size, "") for path in files]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(trainings, "HOLDS_SECONDS", 1e12)
    return Counting(tmp_path / "here", there=tmp_path / "there")


def test_trials_in_a_bucket_ask_once_what_other_studies_have(bucket: Counting) -> None:
    trials = [change(seed=seed) for seed in range(20)]
    for i in range(50):
        TrialFolder(bucket.there / f"study-{i}", trials[i % 2]).write_checkpoint({}, ROWS[:1])
    for trial in trials:
        TrialFolder(bucket.folder / "study-0", trial, bucket).fetch(whole=False)
    assert len([name for name in bucket.asked if name.endswith("/")]) == 1 + 50
    twins = [name for name in bucket.asked if not name.endswith("/") and not name.startswith("study-0/")]
    assert len(twins) == 24 + 25, "of the first two trials alone, in the studies that have each"


def test_a_trial_that_is_trained_to_its_end_looks_for_no_twin(bucket: Counting) -> None:
    TrialFolder(bucket.there / "study", TRIAL).write_checkpoint({}, [*ROWS, {"epoch": 3, "step": 30, "seconds": 1.0}])
    TrialFolder(bucket.folder / "study", TRIAL, bucket).fetch(whole=False)
    assert bucket.asked == [f"study/{TRIALS}/{TRIAL.training_id}"]


def test_what_another_study_begins_is_seen_once_the_list_is_renewed(
    bucket: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Path] = []
    monkeypatch.setattr(Counting, "read_start", lambda _, path, length: fetched.append(path) or b"\0" * 8)
    folder = TrialFolder(bucket.folder / "mine", TRIAL, bucket)
    folder.fetch(whole=False)
    TrialFolder(bucket.there / "other", TRIAL).write_checkpoint({}, ROWS)
    folder.fetch(whole=False)
    assert fetched == []
    monkeypatch.setattr(trainings, "HOLDS_SECONDS", 1e11)  # as if it were later
    monkeypatch.setattr("time.monotonic", lambda: 2e11)
    folder.fetch(whole=False)
    assert [path.parents[2].name for path in fetched] == ["other"]


def test_a_plan_looks_only_into_studies_that_have_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(tmp_path, edit(ALPHA, "{grid: [0.2, 0.05]}", GOOD))
    trials, results = plan_trials(study, load_dataset(study.dataset)), tmp_path / "results"
    for i in range(20):
        TrialFolder(results / f"other-{i}", trials[0] if i == 3 else TRIAL).write_checkpoint({}, ROWS[:1])
    TrialFolder(results / study.name, trials[1]).write_checkpoint({}, ROWS[:1])
    looked: list[Path] = []
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: looked.append(Path(path)) or access(path, mode))
    standings, _, _ = read_standings(study, results)
    assert len([path for path in looked if path.parent.name == TRIALS]) == 1
    by_id = {standing.trial.trial_id: standing for standing in standings}
    first, second, *rest = (by_id[trial.trial_id] for trial in trials)
    epochs = trials[0].settings.epochs
    assert (first.num_stored, first.epochs_left, first.status) == (0, epochs - 1, "waiting")
    assert (second.num_stored, second.epochs_left, second.status) == (1, epochs - 1, "begun")
    assert {standing.epochs_left for standing in rest} == {epochs}
    assert count_epochs_to_train(trials, results / study.name) == {
        trial_id: standing.epochs_left for trial_id, standing in by_id.items()
    }


def test_a_study_whose_trials_are_private_has_no_twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "private", "shared"):
        TrialFolder(tmp_path / name, TRIAL).write_checkpoint({}, ROWS)
    iterdir = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if "private" in folder.parts:
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    found = trainings.Trainings(tmp_path).find_twins(tmp_path / "mine" / TRIALS / TRIAL.training_id)
    assert found == [tmp_path / "shared" / TRIALS / TRIAL.training_id]
