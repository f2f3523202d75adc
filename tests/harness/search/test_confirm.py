"""The best of a search are trained again, over seeds: which ones, with what, and when."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.datasets import Dataset
from harness.ledger.result import Result, Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.confirm import ConfirmingSource, rank_configurations
from harness.search.make_source import make_source
from harness.search.source import Source
from harness.study.sections import Confirm
from tests.harness.small_studies import load

STUDY = """\
name: demo
dataset: digits
defaults: {epochs: 3, hidden: [8]}
space:
  - model: vae
    latent_dim: {grid: [2, 3, 4, 5, 6]}
seeds: [0]
confirm: {top: 2, seeds: [0, 1, 2]}
"""
TPE = STUDY + "search: {sampler: tpe, num_trials: 4}\nscheduler: {name: asha}\n"


class Confirming:
    """A study that confirms, and runs of it in which latent dimension 4 is the best and 5 the second best."""

    def __init__(self, folder: Path, dataset: Dataset, text: str = STUDY) -> None:
        self.study, self.dataset, self.folder = load(folder, text), dataset, folder / "results"

    def source(self, *, read_only: bool = False) -> Source:
        return make_source(self.study, self.dataset, self.folder, read_only=read_only)

    def end(self, trial: Trial, status: Status = "finished") -> Result:
        value = -abs(trial.settings.latent_dim - 4.1)
        history = [{"epoch": e, "val/elbo": value - 3 + e, "step": e, "seconds": 0.1} for e in (1, 2, 3)]
        evaluated = self.study.measures.evaluated
        result = Result(status=status, history=history, evaluated=evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result

    @staticmethod
    def status(latent_dim: int, seed: int) -> Status:
        return "diverged" if (latent_dim, seed) == (4, 1) else "finished"

    def run(self, source: Source, at_most: int = 100) -> list[Trial]:
        ran: list[Trial] = []
        while len(ran) < at_most and (trial := source.next()) is not None:
            source.tell(trial, self.end(trial))
            ran.append(trial)
        return ran


@pytest.fixture
def confirming(tmp_path: Path, dataset: Dataset) -> Confirming:
    return Confirming(tmp_path, dataset)


def describe(trial: Trial) -> tuple[str, int, int, bool]:
    s = trial.settings
    return trial.phase, s.latent_dim, s.seed, s.num_validation > 0


def test_the_best_come_after_the_search_over_seeds_with_held_out_images_and_with_all(confirming: Confirming) -> None:
    source = confirming.source()
    ran = confirming.run(source)
    assert [t.phase for t in ran[:5]] == ["search"] * 5
    # Seed 0 is the search's own, with which the best were lucky: the next one that is free takes its place.
    assert [describe(t) for t in ran[5:]] == [
        *(("select", dim, seed, True) for seed in (1, 2, 3) for dim in (4, 5)),
        *(("confirm", dim, seed, False) for seed in (1, 2, 3) for dim in (4, 5)),
    ]
    assert ran[5].settings.num_validation == ran[0].settings.num_validation == 250
    assert [t.trial_id for t in source.trials] == [t.trial_id for t in ran]
    assert source.num_trials == len(ran) == 17


@pytest.mark.parametrize(
    ("given", "searched", "expected"),
    [
        ((0, 1, 2), (0,), (1, 2, 3)),
        ((5, 6), (0,), (5, 6)),
        ((0, 1, 2, 3, 4), (1, 3, 6), (0, 2, 4, 5, 7)),
        ((0,), (0, 1, 2), (3,)),
    ],
)
def test_seeds_are_as_many_as_were_given_and_none_is_the_searchs(
    given: tuple[int, ...], searched: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert Confirm(seeds=given).choose_fresh_seeds(searched) == expected


def test_what_was_confirmed_with_the_searchs_own_seed_before_is_neither_lost_nor_trained_again(
    confirming: Confirming,
) -> None:
    ran = confirming.run(confirming.source())
    (best,) = (t for t in ran if t.phase == "confirm" and (t.settings.latent_dim, t.settings.seed) == (4, 1))
    old = dataclasses.replace(best, settings=dataclasses.replace(best.settings, seed=0))
    assert old not in confirming.source(read_only=True).trials
    confirming.end(old)
    again = confirming.source()
    assert again.trials[-1] == old
    assert again.trials[-1].phase == "confirm"
    assert len(again.trials) == len(ran) + 1
    assert again.next() is None


def test_the_number_of_trials_is_known_beforehand(confirming: Confirming) -> None:
    assert confirming.source(read_only=True).num_trials == 17


def test_nothing_is_confirmed_while_a_trial_of_the_search_runs(confirming: Confirming) -> None:
    source = confirming.source()
    confirming.run(source, at_most=4)
    last = source.next()
    assert last is not None
    assert source.next() is None
    assert source.is_waiting
    source.tell(last, confirming.end(last))
    following = source.next()
    assert following is not None
    assert following.phase == "select"


def test_a_run_that_was_killed_resumes_where_it_was(confirming: Confirming) -> None:
    done = confirming.run(confirming.source(), at_most=8)
    rest = confirming.run(confirming.source())
    assert len({t.trial_id for t in [*done, *rest]}) == len(done) + len(rest) == 17
    assert confirming.source().next() is None
    assert len(confirming.source(read_only=True).trials) == 17


def test_what_was_confirmed_is_known_though_a_trial_of_the_search_failed(confirming: Confirming) -> None:
    source = confirming.source()
    ran = []
    while (trial := source.next()) is not None:
        source.tell(trial, confirming.end(trial, "failed" if trial.settings.latent_dim == 2 else "finished"))
        ran.append(trial.trial_id)
    assert len(ran) == 17
    assert [t.trial_id for t in confirming.source(read_only=True).trials] == ran
    again = confirming.source()
    assert [t.trial_id for t in again.trials] == ran
    retried = again.next()
    assert retried is not None
    assert retried.trial_id == ran[0]


def test_a_longer_search_confirms_its_own_best(tmp_path: Path, dataset: Dataset) -> None:
    few = Confirming(tmp_path, dataset, STUDY.replace("[2, 3, 4, 5, 6]", "[2, 3]"))
    assert {t.settings.latent_dim for t in few.run(few.source())} == {2, 3}
    more = Confirming(tmp_path, dataset)
    ran = more.run(more.source())
    assert [t.settings.latent_dim for t in ran[:3]] == [4, 5, 6]
    assert {t.settings.latent_dim for t in ran[3:]} == {4, 5}


def test_what_a_scheduler_stopped_is_not_confirmed_and_what_confirms_is_not_stopped(
    tmp_path: Path, dataset: Dataset
) -> None:
    confirming = Confirming(tmp_path, dataset, TPE)
    source = confirming.source()
    search = [source.next() for _ in range(4)]
    for trial in search:
        assert trial is not None
        source.tell(trial, confirming.end(trial, "stopped" if trial.settings.latent_dim == 4 else "finished"))
    again = source.next()
    assert again is not None
    assert again.phase == "select"
    assert again.settings.latent_dim != 4
    confirming.end(again, "stopped")  # under asha it stays so for a trial of the search
    assert again.trial_id in {t.trial_id for t in confirming.run(confirming.source())}


def test_without_a_finished_trial_there_is_nothing_to_confirm(confirming: Confirming) -> None:
    source = confirming.source()
    while (trial := source.next()) is not None:
        source.tell(trial, confirming.end(trial, "diverged"))
    assert source.num_trials == len(source.trials) == 5
    assert isinstance(source, ConfirmingSource)
    assert not source.is_waiting


@pytest.mark.parametrize(("mode", "expected"), [("max", [3, 2]), ("min", [2, 3])])
def test_configurations_are_ranked_by_the_mean_over_all_of_their_seeds(
    tmp_path: Path, dataset: Dataset, mode: str, expected: list[int]
) -> None:
    confirming = Confirming(tmp_path, dataset, STUDY.replace("seeds: [0]\n", "seeds: [0, 1]\n"))
    trials = confirming.source().trials[:10]
    values = {(2, 0): 9.0, (2, 1): 1.0, (3, 0): 6.0, (3, 1): 6.0, (4, 0): 99.0, (4, 1): 99.0, (5, 0): -99.0}
    results = {
        t.trial_id: Result(status=status, history=[{"epoch": 1, "val/elbo": values[key]}])
        for t in trials
        if (key := (t.settings.latent_dim, t.settings.seed)) in values
        for status in [confirming.status(*key)]
    }
    assert [t.settings.latent_dim for t in rank_configurations(trials, results, "val/elbo", mode)] == expected


def test_a_longer_search_keeps_what_was_confirmed_before_in_its_tables(run: Any, tmp_path: Path) -> None:
    text = STUDY.replace("[2, 3, 4, 5, 6]", "[2]").replace("top: 2, seeds: [0, 1, 2]", "top: 1, seeds: [0, 1]")
    assert run(load(tmp_path, text))[0].num_trained == 5  # to confirm over seeds 1 and 2
    outcome, _ = run(load(tmp_path, text.replace("seeds: [0]\n", "seeds: [0, 1]\n")))
    assert outcome.num_trained == 2  # seed 3: what selected with seed 1 is of the search now
    assert outcome.num_done == outcome.num_trials == 7
    trials = pd.read_parquet(tmp_path / "results/demo/trials.parquet")
    assert trials.phase.tolist() == ["search"] * 2 + ["select"] * 2 + ["confirm"] * 3
    assert trials.seed.tolist() == [0, 1, 2, 3, 2, 3, 1]
