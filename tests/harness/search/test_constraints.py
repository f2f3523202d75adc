"""Constraints: parsed, told to Optuna, kept to by what is found; the same history as ever where there are none."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from rich.console import Console

from harness.commands.overview import summarise_plan, summarise_status
from harness.datasets import load_dataset
from harness.ledger.result import Result, Row, list_violated
from harness.ledger.tables import build_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.confirm import rank_configurations
from harness.storage.place import Folder
from harness.study.constraints import Constraint, parse_constraint
from tests.harness.search.searching import ONE_SPACE, Searching

CONSTRAINED = ONE_SPACE + "search: {sampler: SAMPLER, num_trials: 18, METRIC, constraints: [val/rate >= 3]}\n"


class Constrained(Searching):
    """A search whose val/elbo is best at five latent dimensions, and whose val/rate is how far a trial is from that."""

    def end(self, trial: Trial, *_: object, **__: object) -> Result:
        distance = abs(trial.settings.latent_dim - 5.0)
        history = [{"epoch": e, "seconds": 0.1, "val/elbo": -distance, "val/rate": distance} for e in (1, 2)]
        result = Result(status="finished", history=history, evaluated=self.study.measures.evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result


def constrained(folder: Path, sampler: str, metric: str = "metric: val/elbo") -> Constrained:
    text = CONSTRAINED.replace("SAMPLER", sampler).replace("METRIC", metric).replace("int: [2, 9]", "int: [1, 30]")
    return Constrained(folder, load_dataset("digits"), text)


@pytest.mark.parametrize(
    ("sampler", "metric"),
    [("tpe", "metric: val/elbo"), ("gp", "metric: val/elbo"), ("nsga2", "metric: [val/elbo, train_seconds]")],
)
def test_a_search_looks_for_the_best_of_those_that_are_allowed(tmp_path: Path, sampler: str, metric: str) -> None:
    """Without the constraint it would end at 5; with it, the best lies at 2 and 8."""
    searching = constrained(tmp_path, sampler, metric)
    ran = searching.run()
    told = [t for t in searching.optuna_trials() if t.state == TrialState.COMPLETE]  # nsga2 repeats itself at times
    for trial, stored in zip(ran, told, strict=True):
        assert stored.constraints == {"val/rate >= 3": 3 - abs(trial.settings.latent_dim - 5.0)}
    late = [abs(t.settings.latent_dim - 5) for t in ran[9:]]
    assert sum(distance >= 3 for distance in late) > len(late) / 2
    if sampler != "nsga2":  # whose generations are slow
        assert min(distance for distance in late if distance >= 3) <= 4


def test_what_breaks_a_constraint_is_neither_confirmed_nor_without_a_word_in_the_table(tmp_path: Path) -> None:
    searching = constrained(tmp_path, "tpe")
    ran = searching.run()
    results = {trial.trial_id: TrialFolder(searching.folder, trial).read_result() for trial in ran}
    ranked = rank_configurations(ran, results, "val/elbo", "max", searching.study.search.constraints)
    assert 0 < len(ranked) < len(ran)
    assert all(abs(trial.settings.latent_dim - 5) >= 3 for trial in ranked)
    ended = [(trial, result) for trial in ran if (result := results[trial.trial_id]) is not None]
    trials, _ = build_tables(searching.study, ended, {})
    breaks = (trials["latent_dim"] - 5).abs() < 3
    assert trials["violates"].notna().tolist() == breaks.tolist()
    assert set(trials.loc[breaks, "violates"]) <= {"val/rate >= 3"}


def test_a_trial_without_a_value_of_a_constraints_metric_teaches_nothing(tmp_path: Path) -> None:
    searching = constrained(tmp_path, "tpe")
    source = searching.source()
    trial = source.next()
    assert trial is not None
    source.tell(trial, Result(status="finished", history=[{"epoch": 1, "val/elbo": -1.0}]))
    assert [t.state for t in searching.optuna_trials()] == [TrialState.FAIL]


def test_a_trial_that_diverged_exceeds_a_constraint_as_far_as_any_other(tmp_path: Path) -> None:
    searching = constrained(tmp_path, "tpe")
    source = searching.source()
    for rate in (1.0, 2.5, None):
        trial = source.next()
        assert trial is not None
        history: list[Row] = [] if rate is None else [{"epoch": 1, "val/elbo": -rate, "val/rate": rate}]
        source.tell(trial, Result(status="diverged" if rate is None else "finished", history=history))
    diverged = searching.optuna_trials()[-1]
    assert (diverged.value, diverged.constraints) == (-2.5, {"val/rate >= 3": 2.0})


def test_a_run_that_was_killed_between_constraint_and_value_tells_the_value(tmp_path: Path) -> None:
    import optuna

    searching = constrained(tmp_path, "tpe")
    source = searching.source()
    trial = source.next()
    assert trial is not None
    searching.end(trial)
    storage = f"sqlite:///{searching.folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    history = optuna.load_study(study_name=name, storage=storage)
    (running,) = history.get_trials()
    optuna.Trial(history, running._trial_id).set_constraint("val/rate >= 3", 1.5)
    searching.source()
    (stored,) = searching.optuna_trials()
    assert stored.state == TrialState.COMPLETE


def test_plan_and_status_say_how_many_trials_break_a_constraint(tmp_path: Path) -> None:
    searching = constrained(tmp_path, "tpe")
    searching.folder = tmp_path / "results" / "demo"
    ran = searching.run()
    num_broken = sum(abs(trial.settings.latent_dim - 5) < 3 for trial in ran)
    assert num_broken
    for describe in (summarise_plan, summarise_status):
        output = io.StringIO()
        Console(file=output, width=200).print(describe(searching.study, Folder(tmp_path / "results")))
        said = f"The best are to keep to val/rate >= 3: {num_broken} of {len(ran)} trials that ended do not."
        assert said in output.getvalue()


numbers = st.floats(-1e9, 1e9, allow_nan=False)


@given(numbers, numbers, st.sampled_from(["<=", ">="]))
def test_a_constraint_is_broken_on_one_side_of_its_bound_and_survives_being_written(
    bound: float, value: float, sign: str
) -> None:
    constraint = parse_constraint(f"val/rate {sign} {bound!r}")
    assert parse_constraint(str(constraint)) == constraint == Constraint("val/rate", sign, bound)  # type: ignore[arg-type]
    result = Result(status="finished", history=[{"epoch": 1, "val/rate": value}])
    is_broken = value > bound if sign == "<=" else value < bound
    assert list_violated(result, [constraint]) == ([constraint] if is_broken else [])


@pytest.mark.parametrize(
    "raw", ["val/rate", "val/rate < 1", "<= 1", "val/rate <= x", "val/rate <= nan", 3, None, "a <= 1e999"]
)
def test_nothing_else_is_a_constraint(raw: object) -> None:
    with pytest.raises(ValueError, match=r"write one such as val/nonzero_fraction <= 0\.2"):
        parse_constraint(raw)
