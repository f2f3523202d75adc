"""What every source of trials promises."""

import dataclasses
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import Dataset
from harness.ledger.result import Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.open_trials import describe_stopping
from harness.study.domains import Finite
from tests.harness.search.searching import STUDIES, Searching, digest, ids
from tests.harness.small_studies import GOOD, edit

NUM_TRIALS = {"grid": 6, "random": 8, "quasirandom": 8, "nsga2": 9}  # else 6


@pytest.fixture(params=["grid", "random", "quasirandom", "tpe-asha", "tpe-two-metrics", "gp", "cmaes", "nsga2"])
def searching(request: pytest.FixtureRequest, tmp_path: Path, dataset: Dataset) -> Searching:
    return Searching(tmp_path, dataset, STUDIES[request.param])


def test_every_trial_comes_once_and_then_none(searching: Searching, request: pytest.FixtureRequest) -> None:
    source = searching.source()
    ran = searching.run(source)
    name = request.node.callspec.params["searching"]
    assert len(ran) == len(set(ids(ran))) == source.num_trials == NUM_TRIALS.get(name, 6)
    assert ids(source.trials) == ids(ran)
    assert source.next() is None


def test_no_result_is_kept_that_nothing_will_ask_for(searching: Searching) -> None:
    source = searching.source()
    trial = source.next()
    assert trial is not None
    result = searching.end(trial)
    told = weakref.ref(result)
    source.tell(trial, result)
    del result
    gc.collect()
    assert told() is None


def test_every_trial_lies_in_a_sub_space(searching: Searching) -> None:
    for trial in searching.run():
        assert any(holds(space, trial) for space in searching.study.sub_spaces())
        assert trial.dataset_hash == searching.dataset.content_hash
        assert (trial.settings.alpha is None) == (trial.settings.model == "vae")
        assert trial.settings.seed in searching.study.seeds


def holds(space: Any, trial: Trial) -> bool:
    for setting, domain in space.items():
        value = getattr(trial.settings, setting)
        if not (value in domain.values if isinstance(domain, Finite) else domain.low <= value <= domain.high):
            return False
    return True


def test_what_has_ended_does_not_come_again(searching: Searching) -> None:
    first = searching.run(at_most=3)
    source = searching.source()
    rest = searching.run(source)
    assert set(ids(first)).isdisjoint(ids(rest))
    assert len(first) + len(rest) == source.num_trials
    assert set(ids(source.trials)) == {*ids(first), *ids(rest)}
    assert searching.source().next() is None


def test_a_killed_run_resumes_with_what_it_left_unfinished(searching: Searching) -> None:
    source = searching.source()
    done = searching.run(source, at_most=2)
    begun = [source.next(), source.next()]  # running when the process is killed
    del source
    source = searching.source()
    assert [source.next(), source.next()] == begun
    rest = searching.run(source)
    assert len(done) + 2 + len(rest) == source.num_trials
    assert len({*ids(done), *ids([t for t in begun if t]), *ids(rest)}) == source.num_trials


@pytest.mark.parametrize(("status", "comes_again"), [("failed", True), ("diverged", False)])
def test_a_trial_that_failed_comes_again_at_the_next_run_and_a_diverged_one_does_not(
    searching: Searching, status: Status, comes_again: bool
) -> None:
    source = searching.source()
    (bad,) = searching.run(source, at_most=1, status=status)
    rest = searching.run(source)
    assert bad.trial_id not in ids(rest)  # not within the same run
    assert ids(searching.run()) == ([bad.trial_id] if comes_again else [])


def test_a_trial_that_lacks_an_evaluation_comes_again(searching: Searching) -> None:
    lacking, *_ = searching.run()
    folder = TrialFolder(searching.folder, lacking)
    result = folder.read_result()
    assert result is not None
    folder.write_result(dataclasses.replace(result, evaluated=[]))
    assert ids(searching.run()) == [lacking.trial_id]
    assert searching.source().next() is None


def test_a_trial_that_the_scheduler_stopped_stays_stopped_under_that_scheduler(searching: Searching) -> None:
    stopped = searching.run(status="stopped")
    expected = [] if searching.study.scheduler.name == "asha" else ids(stopped)
    assert ids(searching.run()) == expected


ASHA = GOOD + "scheduler: {name: asha, grace_epochs: 1}\n"


@pytest.mark.parametrize(
    ("now", "num_open"),
    [
        (ASHA, 0),
        (edit("seeds: [0, 1]", "seeds: [0, 1, 2]", ASHA), 3),
        (edit("asha, grace_epochs: 1", "asha, reduction_factor: 3", ASHA), 6),
        (edit("grace_epochs: 1", "grace_epochs: 2", ASHA), 6),
        (edit("asha", "median", ASHA), 6),
        (ASHA + "search: {metric: val/rate, mode: min}\n", 6),
    ],
)
def test_a_trial_that_another_rule_stopped_goes_on_and_the_study_says_so(
    dataset: Dataset, tmp_path: Path, now: str, num_open: int
) -> None:
    before, after = Searching(tmp_path, dataset, ASHA), Searching(tmp_path, dataset, now)
    for trial in before.run(status="stopped"):
        result = before.end(trial, "stopped")
        stored = dataclasses.replace(result, stopped_by=describe_stopping(before.study))
        TrialFolder(before.folder, trial).write_result(stored)
    source = after.source()
    assert len(list(iter(source.next, None))) == num_open
    assert [notice.split(" that ")[0] for notice in source.notices] == (["6 trials"] if num_open == 6 else [])


def test_reading_changes_nothing_and_knows_every_trial_so_far(searching: Searching) -> None:
    source = searching.source()
    searching.run(source, at_most=2)
    untold, begun = source.next(), source.next()
    assert untold is not None
    searching.end(untold)
    before = digest(searching.folder)
    found = searching.source(read_only=True)
    assert digest(searching.folder) == before
    assert found.num_trials == source.num_trials
    assert ids(found.trials) == ids(source.trials)
    assert begun in found.trials


def test_a_shorter_search_keeps_what_a_longer_one_proposed(tmp_path: Path, dataset: Dataset) -> None:
    long = Searching(tmp_path, dataset, STUDIES["tpe"])
    long.run(at_most=5)
    short = Searching(tmp_path, dataset, STUDIES["tpe"].replace("num_trials: 6", "num_trials: 4")).source(
        read_only=True
    )
    assert (len(short.trials), short.num_trials) == (5, 5)


def test_reading_where_nothing_was_run_makes_no_file(searching: Searching) -> None:
    assert searching.source(read_only=True).num_trials == searching.source(read_only=True).num_trials
    assert not searching.folder.exists()
