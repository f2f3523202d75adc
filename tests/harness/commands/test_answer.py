"""The answer with which a run ends."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from analysis.tables import load_tables
from harness.commands import answer
from harness.commands.answer import print_answer, rank_configurations, summarise_answer
from harness.study.file import load_study
from tests.analysis.synthetic import SyntheticStudy

PUBLISHED = Path(__file__).parents[3] / "studies" / "published"


def printed(study: SyntheticStudy) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=150)
    console.print(summarise_answer(study.tables()))
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_configurations_are_ranked_by_their_mean_with_interval_and_seeds() -> None:
    study = SyntheticStudy()
    for latent_dim, values in {4: (-31.0, -33.0), 8: (-20.0, -22.0), 2: (-40.0,)}.items():
        for seed, value in enumerate(values):
            study.add("vae", latent_dim, seed)
            study.trials[-1]["test/elbo"] = value
    study.add("vae", 16, 0, status="failed")
    head, units, *rows = printed(study)
    assert head == ["test", "ELBO", "(95%", "interval)"]
    assert units == ["configuration", "nats", "per", "image", "seeds"]
    assert [(row[0], row[5], row[-1]) for row in rows] == [("1", "8", "2"), ("2", "4", "2"), ("3", "2", "1")]
    # Student's t, one degree of freedom: 12.706 standard errors, which are 1 here.
    assert rows[0][6:-1] == ["\N{MINUS SIGN}21", "(\N{MINUS SIGN}34", "to", "\N{MINUS SIGN}8)"]
    assert rows[2][6:-1] == ["\N{MINUS SIGN}40.0"]


def test_a_long_list_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_ROWS", 2)
    study = SyntheticStudy()
    for latent_dim in (2, 4, 8, 16):
        study.add("vae", latent_dim, 0)
    assert printed(study)[-1] == ["and", "2", "configurations", "more"]


def test_a_search_is_ranked_by_what_it_steered_by_and_confirmed_winners_by_their_validation() -> None:
    metric, ranked = rank_configurations(load_tables(PUBLISHED / "open-hyperparameters-vsc"))
    assert metric == "test/elbo"
    assert ranked["n"].tolist() == [2, 2]  # of three seeds, without the one that the search picked it by
    study = SyntheticStudy()
    study.random_search(6, epochs=3)
    metric, ranked = rank_configurations(study.tables())
    assert metric == "val/elbo"
    assert ranked["mean"].is_monotonic_decreasing


@pytest.mark.parametrize("name", ["pixel-scaling", "rate-distortion-quick"])
def test_what_cannot_be_ranked_is_not(name: str) -> None:
    """Bounds on differently scaled pixels, and several objectives."""
    console = Console(file=io.StringIO())
    print_answer(load_study(PUBLISHED / name / "study.yaml"), PUBLISHED / name, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_an_error_in_ranking_is_said_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(answer, "rank_configurations", fail)
    console = Console(file=io.StringIO(), width=200)
    print_answer(load_study(PUBLISHED / "traversals" / "study.yaml"), PUBLISHED / "traversals", console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "The configurations could not be ranked (ZeroDivisionError: planted).\n"
