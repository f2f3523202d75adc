"""Population-based training: which members copy which, and that a killed population resumes as if it had not been."""

import errno
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.datasets import Dataset
from harness.errors import InputError
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.search.make_source import make_source
from harness.search.population import FACTORS, PopulationSource
from harness.storage.place import Folder, Item
from harness.worker.trial_run import run_trial
from tests.harness.small_studies import load

STUDY = """\
name: demo
dataset: digits
defaults: {epochs: 7, hidden: [8], batch_size: 256}
space:
  - model: vsc
    latent_dim: 3
    alpha: 0.3
    learning_rate: {loguniform: [1.0e-4, 3.0e-2]}
    beta: {uniform: [0.5, 1.5]}
search: {sampler: random, num_trials: 8}
scheduler: {name: pbt, interval: 2, perturb: [learning_rate, beta, sharpness]}
evaluate: [elbo]
"""
TIMES = ("seconds",)


class Living:
    """A population in a folder, trained leg by leg as a run does."""

    def __init__(self, folder: Path, dataset: Dataset, text: str = STUDY) -> None:
        folder.mkdir(exist_ok=True)
        self.study, self.dataset, self.folder = load(folder, text), dataset, folder / "results"
        self.legs: list[Trial] = []

    def source(self, *, read_only: bool = False) -> PopulationSource:
        source = make_source(self.study, self.dataset, self.folder, read_only=read_only)
        assert isinstance(source, PopulationSource)
        return source

    def train(self, trial: Trial, num_epochs: int | None = None) -> list[Row]:
        """One leg, or, as if it were killed, only some rows of it."""
        rows: list[Row] = []
        for event in run_trial(trial, self.study.measures, self.dataset, self.folder):
            rows.append(event.metrics)
            if len(rows) == num_epochs:
                break
        return rows

    def live(self, source: PopulationSource, num_legs: int = 1000) -> None:
        """Train until no leg is left, or for `num_legs` legs."""
        for _ in range(num_legs):
            trial = source.next()
            if trial is None:
                return
            self.legs.append(trial)
            self.train(trial)
            source.tell(trial, TrialFolder(self.folder, trial).read_result() or Result(status="running"))

    def histories(self) -> list[list[Row]]:
        results = [TrialFolder(self.folder, trial).read_result() for trial in self.source(read_only=True).trials]
        return [untimed(r.history) for r in results if r is not None]

    def states(self) -> list[dict[str, torch.Tensor]]:
        folders = [TrialFolder(self.folder, trial) for trial in self.source(read_only=True).trials]
        return [read_checkpoint(folder.list_own_states()[0])[0] for folder in folders]


def untimed(rows: Sequence[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Living:
    living = Living(tmp_path_factory.mktemp("whole") / "study", dataset)
    living.live(living.source())
    return living


def same(a: Living, b: Living) -> bool:
    pairs = zip(a.states(), b.states(), strict=True)
    alike = all(torch.equal(x[name], y[name]) for x, y in pairs for name in x)
    return alike and a.histories() == b.histories()


@dataclass(frozen=True)
class Meeting(Folder):
    """An empty bucket that answers once all members ask it."""

    asked: list[Path] = field(default_factory=list, compare=False)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(8, timeout=60), compare=False)
    is_remote = True

    def list(self, folder: Path, *, deep: bool = True) -> Sequence[Item]:
        self.asked.append(folder)
        self.meeting.wait()
        return []


def test_members_are_fetched_from_a_bucket_at_once(dataset: Dataset, tmp_path: Path) -> None:
    place = Meeting(tmp_path / "here")
    make_source(load(tmp_path, STUDY), dataset, place.folder / "demo", place=place)
    assert len(place.asked) == 8


def test_everyone_trains_for_all_epochs_generation_by_generation(whole: Living) -> None:
    assert [len(history) for history in whole.histories()] == [7] * 8
    assert [trial.until for trial in whole.legs] == [2] * 8 + [4] * 8 + [6] * 8 + [7] * 8


def test_the_worst_quarter_takes_over_from_the_best_and_changes_what_it_took(whole: Living) -> None:
    trials = whole.source(read_only=True).trials
    for boundary in (2, 4, 6):
        histories = dict(zip((t.trial_id for t in trials), whole.histories(), strict=True))
        values = {name: float(rows[boundary - 1]["val/elbo"] or 0) for name, rows in histories.items()}
        ranked = sorted(values, key=lambda name: -values[name])
        own = {name: {k: v for k, v in rows[boundary - 1].items() if "pbt/" in k} for name, rows in histories.items()}
        new = {name: {k: v for k, v in rows[boundary].items() if "pbt/" in k} for name, rows in histories.items()}
        assert own[ranked[0]].keys() == {"pbt/learning_rate", "pbt/beta", "pbt/sharpness"}
        assert all(new[name] == own[name] for name in ranked[:6])
        for loser in ranked[6:]:
            factors = [
                {name: new[loser][name] / own[donor][name] for name in new[loser]}  # type: ignore[operator]
                for donor in ranked[:2]
            ]
            fits = [all(any(f == pytest.approx(factor) for factor in FACTORS) for f in x.values()) for x in factors]
            assert any(fits)


def test_of_a_metric_that_is_minimised_the_least_is_the_best(dataset: Dataset, tmp_path: Path) -> None:
    text = STUDY.replace("num_trials: 8", "num_trials: 4, metric: val/rate, mode: min")
    (population,) = Living(tmp_path / "a", dataset, text).source(read_only=True)._populations
    histories: dict[str, list[Row]] = {name: [{"val/rate": float(name)}] for name in "3524"}
    exploits = population._evolve(histories, {name: {} for name in histories}, 1)
    assert [(exploit.loser, exploit.donor) for exploit in exploits] == [("5", "2")]


@pytest.mark.parametrize(("left", "exploits"), [("352", [("2", "5")]), ("35", [("3", "5")]), ("3", [])])
def test_the_worst_of_a_small_population_that_lost_a_member_still_takes_over(
    left: str, exploits: list[tuple[str, str]], dataset: Dataset, tmp_path: Path
) -> None:
    text = STUDY.replace("num_trials: 8", "num_trials: 4")
    (population,) = Living(tmp_path / "a", dataset, text).source(read_only=True)._populations
    histories: dict[str, list[Row]] = {name: [{"val/elbo": float(name)}] * (1 + (name in left)) for name in "3524"}
    found = population._evolve(histories, {name: {} for name in histories}, 2)
    assert [(exploit.loser, exploit.donor) for exploit in found] == exploits


def test_each_generation_draws_anew_whom_to_copy_and_by_which_factor(dataset: Dataset, tmp_path: Path) -> None:
    (population,) = Living(tmp_path / "a", dataset).source(read_only=True)._populations
    drawn = set()
    for epoch in range(1, 21):
        histories: dict[str, list[Row]] = {name: [{"val/elbo": float(name)}] * epoch for name in "01234567"}
        current = {name: {"beta": 1.0} for name in histories}
        exploits = population._evolve(histories, current, epoch)
        drawn.add(tuple((exploit.donor, current[exploit.loser]["beta"]) for exploit in exploits))
    assert len(drawn) > 5  # of 16 that there are


def test_what_a_population_makes_of_a_trial_stands_in_its_history_and_not_in_its_settings(whole: Living) -> None:
    planned = whole.source(read_only=True).trials
    changed = 0
    for trial, history in zip(planned, whole.histories(), strict=True):
        assert history[0]["pbt/learning_rate"] == trial.settings.learning_rate
        assert history[0]["sharpness"] == pytest.approx(50.0)
        changed += history[-1]["pbt/learning_rate"] != trial.settings.learning_rate
    assert changed >= 2


def test_a_take_over_carries_the_donors_state_and_leaves_the_losers_history(dataset: Dataset, tmp_path: Path) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    living.live(source, 7)
    last = source.next()
    assert last is not None
    living.train(last)
    before = {t.trial_id: TrialFolder(living.folder, t).read_history() for t in source.trials}
    states = {t.trial_id: state for t, state in zip(source.trials, living.states(), strict=True)}
    source.tell(last, Result(status="running"))
    after = {t.trial_id: state for t, state in zip(source.trials, living.states(), strict=True)}
    name = next(iter(states[last.trial_id]))
    changed = [t for t in states if not torch.equal(states[t][name], after[t][name])]
    assert len(changed) == 2
    for loser in changed:
        assert any(torch.equal(after[loser][name], states[donor][name]) for donor in states if donor not in changed)
    assert {t.trial_id: TrialFolder(living.folder, t).read_history() for t in source.trials} == before


@pytest.mark.parametrize("num_legs", [1, 8, 11, 16, 27])
@pytest.mark.parametrize("num_rows", [0, 1])
def test_a_population_that_was_killed_ends_as_if_it_had_not_been(
    whole: Living, dataset: Dataset, tmp_path: Path, num_legs: int, num_rows: int
) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    living.live(source, num_legs)
    for _ in range(2):  # two that were at work
        trial = source.next()
        if trial is not None and num_rows:
            living.train(trial, num_rows)
    living.live(living.source())
    assert same(living, whole)


def test_the_order_in_which_members_end_changes_nothing(whole: Living, dataset: Dataset, tmp_path: Path) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    while batch := list(iter(source.next, None)):
        for trial in reversed(batch):
            living.train(trial)
            source.tell(trial, Result(status="running"))
    assert same(living, whole)


def test_a_member_of_a_population_is_no_trial_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    alone = load(tmp_path, STUDY.replace("scheduler: {name: pbt, interval: 2, ", "scheduler: {name: asha}\n#"))
    plain = {t.training_id for t in make_source(alone, dataset, tmp_path / "results").trials}
    members = {t.training_id for t in Living(tmp_path / "a", dataset).source().trials}
    other = {t.training_id for t in Living(tmp_path / "b", dataset, STUDY.replace("al: 2", "al: 3")).source().trials}
    assert len(plain | members | other) == 24


def test_a_population_continues_without_members_that_diverged_or_failed(dataset: Dataset, tmp_path: Path) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    first, second, *_ = source.trials
    for trial in iter(source.next, None):
        rows = living.train(trial)
        status: Any = {first.trial_id: "diverged", second.trial_id: "failed"}.get(trial.trial_id)
        if status:
            TrialFolder(living.folder, trial).write_result(Result(status=status, history=rows))
        source.tell(trial, Result(status="running"))
    for again in (source, living.source()):
        living.live(again)
    results = [TrialFolder(living.folder, trial).read_result() for trial in source.trials]
    assert [r.status for r in results if r] == ["diverged", "failed"] + ["finished"] * 6
    assert living.source().next() is None
    for told in (source, living.source()):
        assert ["has 6 of 8 members left" in notice for notice in told.notices] == [True]


def test_each_architecture_is_a_population_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    text = STUDY.replace("latent_dim: 3", "latent_dim: {grid: [2, 3]}").replace("random, num_trials: 8", "grid")
    text = text.replace("{loguniform: [1.0e-4, 3.0e-2]}", "{grid: [0.001, 0.002, 0.004, 0.008]}")
    text = text.replace("{uniform: [0.5, 1.5]}", "1.0")
    living = Living(tmp_path / "a", dataset, text)
    assert len({trial.population for trial in living.source().trials}) == 2
    living.live(living.source())
    assert [len(history) for history in living.histories()] == [7] * 8


@pytest.mark.parametrize("num_legs", [11, 16, 27])
def test_a_population_that_lost_a_members_state_starts_over(
    whole: Living, dataset: Dataset, tmp_path: Path, num_legs: int
) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    living.live(source, num_legs)
    waiting = list(iter(source.next, None))
    lost = (waiting or list(source.trials))[-1]
    shutil.rmtree(TrialFolder(living.folder, lost).path)
    assert source.notices == []
    again = living.source()
    assert [lost.label in notice and "begins anew" in notice for notice in again.notices] == [True]
    living.live(again)
    assert same(living, whole)


def test_what_members_have_stored_is_fetched_once_before_a_generation(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, fetched = Living(tmp_path / "a", dataset), list[str]()
    monkeypatch.setattr(TrialFolder, "fetch", lambda folder: fetched.append(folder.path.name))
    source = living.source()
    names = sorted(trial.training_id for trial in source.trials)
    assert sorted(fetched) == names
    fetched.clear()
    for trial in list(iter(source.next, None)):
        source.tell(trial, Result(status="running"))
    assert sorted(fetched) == names


def test_a_state_that_cannot_be_read_just_now_is_not_lost(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    living.live(source, 11)
    states = sorted(living.folder.glob("trials/*/*.safetensors"))
    damaged = TrialFolder(living.folder, (list(iter(source.next, None)) or list(source.trials))[-1]).path
    opened = Path.open

    def fail(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.parent == damaged and path.suffix == ".safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        with pytest.raises(OSError, match="Input/output error"):
            living.source()
    assert sorted(living.folder.glob("trials/*/*.safetensors")) == states
    assert living.source().notices == []


def test_a_member_that_failed_is_tried_again_unless_the_others_have_continued(
    whole: Living, dataset: Dataset, tmp_path: Path
) -> None:
    living = Living(tmp_path / "a", dataset)
    source = living.source()
    living.live(source, 3)
    failed = source.next()
    assert failed is not None
    TrialFolder(living.folder, failed).write_result(Result(status="failed", error="no space left"))
    living.live(living.source())
    assert same(living, whole)


@pytest.mark.parametrize("has_failed", [False, True])
def test_a_member_whose_last_measurement_is_missing_is_measured_and_ends(
    whole: Living, tmp_path: Path, has_failed: bool
) -> None:
    living = Living(tmp_path / "a", whole.dataset)
    shutil.copytree(whole.folder, living.folder)
    folder = TrialFolder(living.folder, whole.legs[-1])
    folder.forget_result()
    if has_failed:
        folder.write_result(Result(status="failed", history=folder.read_history(), error="no space left"))
    living.live(living.source())
    assert [trial.until for trial in living.legs] == [7]
    assert same(living, whole)


def test_too_small_a_population_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    text = STUDY.replace("{loguniform: [1.0e-4, 3.0e-2]}", "{choice: [0.001, 0.002]}").replace(
        "{uniform: [0.5, 1.5]}", "1.0"
    )
    with pytest.raises(InputError, match="pbt needs a population of at least 4, but one has 2 different members"):
        Living(tmp_path / "a", dataset, text).source(read_only=True)
