"""CMA-ES restores its own states to the bit, and nothing else that a history holds in their place."""

import json
import os
import pickle
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import optuna
import pytest

from harness.datasets import load_dataset
from harness.errors import InputError
from harness.search.cmaes_sampler import GuardedCmaEsSampler
from tests.harness.search.searching import STUDIES, Searching

SPACE = {
    "wide": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
    "stepped": optuna.distributions.FloatDistribution(0, 1, step=0.25),
    "whole": optuna.distributions.IntDistribution(2, 8),
}


class Planted:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("at_once", ["", ", at_once: 2"])
def test_what_a_stranger_plants_as_a_state_is_not_run(tmp_path: Path, at_once: str) -> None:
    searching = Searching(tmp_path, load_dataset("digits"), STUDIES["cmaes"].replace("6}", f"6{at_once}}}"))
    searching.run(at_most=2)
    database, made = searching.folder / "optuna.db", tmp_path / "made"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (1, 'cmawm:optimizer:0', ?)",
            (json.dumps(pickle.dumps(Planted(made)).hex()),),
        )
    source = searching.source()
    with pytest.raises(InputError, match=r"optuna\.db: trial 0 holds .* names posix\.mkdir\); move it elsewhere"):
        source.next()
    assert not made.exists()
    database.rename(tmp_path / "elsewhere.db")
    assert len(searching.run()) == 4, "the new search begins with the two that were trained"


def propose(sampler: type[optuna.samplers.CmaEsSampler], *, consider_pruned: bool) -> tuple[list[object], int]:
    """What a sampler proposes, and how many states it has stored by then."""
    made = sampler(seed=1, with_margin=True, consider_pruned_trials=consider_pruned)
    history = optuna.create_study(sampler=made)
    for number in range(28):
        trial = history.ask(SPACE)
        value = sum(trial.params.values())
        if number % 4:
            history.tell(trial, value)
        else:
            trial.report(value, 1)
            history.tell(trial, state=optuna.trial.TrialState.PRUNED)
    trials = history.get_trials()
    return [trial.params for trial in trials], sum("cmawm:optimizer:0" in trial.system_attrs for trial in trials)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("consider_pruned", [False, True])
def test_its_own_states_are_restored_and_lead_to_the_same_proposals(
    monkeypatch: pytest.MonkeyPatch, consider_pruned: bool, protocol: int
) -> None:
    monkeypatch.setattr(pickle, "dumps", partial(pickle.dumps, protocol=protocol))  # Python's own is 5 from 3.14 on
    expected, num_states = propose(optuna.samplers.CmaEsSampler, consider_pruned=consider_pruned)
    assert num_states >= 2, "else nothing was restored from a state"
    assert propose(GuardedCmaEsSampler, consider_pruned=consider_pruned) == (expected, num_states)
