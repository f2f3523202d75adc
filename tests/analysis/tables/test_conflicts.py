import pandas as pd
import pytest

from analysis.report.conflicts import describe_conflicts_of, tabulate_conflicts
from analysis.tables import Tables
from analysis.tables.conflicts import find_conflicts, leading_results, pairs_of_studies
from tests.analysis.synthetic import SyntheticStudy


@pytest.fixture
def tables() -> dict[str, Tables]:
    """Three studies of one trial, one of which has another result; the last trial of each is its own."""
    study = SyntheticStudy()
    for seed in range(2):
        study.add("vsc", 24, seed, 0.01)
    found = {}
    for name, elbo in (("a", -100.0), ("b", -100.0), ("c", -102.5)):
        own = study.tables()
        own.trials.loc[0, ["test/elbo", "test/rate"]] = elbo, 20 + elbo / 100
        own.trials.loc[1, "trial_id"] = f"only-{name}"
        found[name] = Tables(own.trials, own.history)
    return found


def test_a_trial_with_two_results_is_found_with_each_metric_in_which_they_differ(tables: dict[str, Tables]) -> None:
    found = find_conflicts(tables)
    assert set(found["trial_id"]) == {"t00000"}
    assert set(found["metric"]) == {"test/elbo", "test/rate"}  # of all others the three agree
    shown = leading_results(found)
    assert shown.set_index("study")["value"].to_dict() == {"a": -100, "b": -100, "c": -102.5}
    assert pairs_of_studies(found) == {"a": {"c": 2.5}, "b": {"c": 2.5}, "c": {"a": 2.5, "b": 2.5}}


def test_a_metric_that_one_study_lacks_and_a_trial_that_has_not_finished_are_no_conflict(
    tables: dict[str, Tables],
) -> None:
    trials = tables["c"].trials
    trials.loc[0, ["test/elbo", "test/rate"]] = float("nan")
    assert find_conflicts(tables).empty
    trials.loc[0, "test/elbo"] = -99.0
    assert not find_conflicts(tables).empty
    trials.loc[0, "status"] = "stopped"
    assert find_conflicts(tables).empty
    assert find_conflicts({}).empty


def test_results_that_were_measured_otherwise_are_no_conflict(tables: dict[str, Tables]) -> None:
    tables["a"].trials["evaluated"] = "elbo@v2; iw_bound@50v2"
    tables["b"].trials["evaluated"] = None
    tables["c"].trials["evaluated"] = "sparsity@v2; elbo@v2"
    agreeing = {"a": {"c": 2.5}, "b": {"c": 2.5}, "c": {"a": 2.5, "b": 2.5}}
    assert pairs_of_studies(find_conflicts(tables)) == agreeing
    tables["c"].trials["evaluated"] = "elbo@v2; iw_bound@500v2"
    assert pairs_of_studies(find_conflicts(tables)) == {"b": {"c": 2.5}, "c": {"b": 2.5}}
    del tables["b"]
    assert find_conflicts(tables).empty


def test_the_page_says_each_result_with_its_studies_and_machines(tables: dict[str, Tables]) -> None:
    found = find_conflicts(tables)
    one, other = {"cpu": "an EPYC", "host": "x"}, {"cpu": "a Xeon", "host": "y"}
    text, machines, table = tabulate_conflicts(found, {"a": [one], "b": [one, other], "c": [other]})
    start = "1 trial of the studies above has several results, which differ by up to 2.5"
    assert text.startswith(f"{start}, as of several machines: ")
    assert "Older tables do not say how" in text
    unknown = tabulate_conflicts(found.assign(evaluated="elbo@v3"), {"a": [one], "b": [one]})[0]
    assert unknown.startswith(f"{start}. Every figure")
    assert machines.splitlines() == ["- A: cpu an EPYC, host x", "- B: cpu a Xeon, host y"]
    told = "test/elbo: −102.50 in `c` (B); −100.00 in `a` (A), `b` (A or B)"  # noqa: RUF001
    assert f"| {told} | 2.50 nats per image |" in table
    assert describe_conflicts_of("a", pairs_of_studies(found)).startswith(
        "† Trials of this study have other results in `c` (by up to 2.50): see [one trial, several results]"
    )
    assert describe_conflicts_of("d", pairs_of_studies(found)) == ""
    assert tabulate_conflicts(pd.DataFrame(), {}) == []
