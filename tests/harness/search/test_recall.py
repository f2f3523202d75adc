"""Histories in memory: a sampler goes on from what it noted of its proposals, and learns no more than it is to."""

from pathlib import Path

import numpy as np
import optuna
import pytest

from harness.search.recall import recall, store
from harness.search.samplers import make_sampler
from tests.harness.search.searching import STUDIES
from tests.harness.small_studies import load


@pytest.mark.parametrize("sampler", ["cmaes", "nsga2"])
def test_generations_come_nearer_to_the_optimum(tmp_path: Path, sampler: str) -> None:
    """Each proposal is made by a sampler of its own, and the last trial still runs."""
    num_trials, study = 48, load(tmp_path, STUDIES[sampler])
    history = optuna.create_study(directions=study.directions)
    signs = [-1 if direction == "maximize" else 1 for direction in study.directions]
    distances: list[float] = []
    for place in range(num_trials):
        known = history.get_trials()
        recalled = recall(known[:-1], known[-1:], study.directions, make_sampler(study, num_trials, 1000 * place))
        asked = recalled.ask()
        distances.append(abs(asked.suggest_float("x", 0, 1) - 0.8) + abs(asked.suggest_float("y", 0, 1) - 0.1))
        if known:
            history.tell(known[-1].number, [sign * distances[-2] for sign in signs])
        store(history, recalled.get_trials()[-1])
    assert np.mean(distances[-12:]) < 0.6 * np.mean(distances[:12])
    (generation,) = [v for name, v in history.get_trials()[-1].system_attrs.items() if name.endswith("generation")]
    assert generation > 0


def test_a_trial_that_runs_has_what_its_sampler_noted_and_not_how_it_ended() -> None:
    noted = {"cmawm:generation": 3, "x_for_tell": [0.5]}
    ended = optuna.trial.create_trial(value=1.0, system_attrs={**noted, "tpe:relative_params:0": "{}"})
    ended.set_constraint("val/rate >= 3", 1.5)
    (running,) = recall([], [ended], ["minimize"], optuna.samplers.RandomSampler()).get_trials()
    assert (running.state, running.values) == (optuna.trial.TrialState.RUNNING, None)
    assert running.system_attrs == noted


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_one_that_diverged_is_the_worst_of_those_that_ended_whatever_it_was_told_as(direction: str) -> None:
    """What it was told as depends on which had ended by then."""
    sign = 1 if direction == "minimize" else -1
    diverged = optuna.trial.create_trial(value=sign * 99.0, user_attrs={"status": "diverged"})
    diverged.set_constraint("val/rate >= 3", 9.0)
    others = [optuna.trial.create_trial(value=sign * value) for value in (2.0, 5.0, 3.0)]
    for other in others:
        other.set_constraint("val/rate >= 3", other.value or 0.0)
    random = optuna.samplers.RandomSampler()
    first, *_ = recall([diverged, *others], [], [direction], random).get_trials()
    excess = max(other.value or 0.0 for other in others)
    assert (first.value, first.constraints) == (sign * 5.0, {"val/rate >= 3": excess})
    assert first.user_attrs == {"status": "diverged"}
    (alone,) = recall([diverged], others, [direction], random).get_trials(states=[optuna.trial.TrialState.FAIL])
    assert (alone.values, alone.constraints) == (None, {})
