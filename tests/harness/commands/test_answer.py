"""The table with which a run ends."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from analysis.tables import load_tables
from harness.commands import answer
from harness.commands.answer import UNSELECTED, Answer, compute_answer, print_answer, summarise_answer
from harness.ledger.tables import write_tables
from harness.study.file import load_study
from tests.analysis.synthetic import SyntheticStudy
from tests.harness.small_studies import edit, load

PUBLISHED = Path(__file__).parents[3] / "studies" / "published"


def printed(study: SyntheticStudy) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=150)
    console.print(summarise_answer(study.tables()))
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines()]


def answer_of(study: SyntheticStudy) -> Answer:
    found = compute_answer(study.tables())
    assert found is not None
    return found


def test_configurations_are_ranked_by_their_mean_with_interval_and_seeds() -> None:
    study = SyntheticStudy()
    for latent_dim, values in {4: (-31.0, -33.0), 8: (-20.0, -22.0), 2: (-40.0,)}.items():
        for seed, value in enumerate(values):
            study.add("vae", latent_dim, seed)
            study.trials[-1]["test/elbo"] = value
    study.add("vae", 16, 0, status="failed")
    head, units, *rows, note = printed(study)
    assert " ".join(note) == UNSELECTED
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
    assert printed(study)[-2] == ["and", "2", "configurations", "more"]


def test_a_search_is_ranked_by_what_it_steered_by_and_confirmed_winners_by_their_validation() -> None:
    confirmed = compute_answer(load_tables(PUBLISHED / "open-hyperparameters-vsc"))
    assert confirmed is not None
    assert (confirmed.metric, confirmed.is_selected) == ("test/elbo", True)
    assert confirmed.ranked["n"].tolist() == [2, 2]  # of three seeds, without the one that the search picked it by
    study = SyntheticStudy()
    study.random_search(6, epochs=3)
    searched = answer_of(study)
    assert (searched.metric, searched.is_selected) == ("val/elbo", True)
    assert searched.ranked["mean"].is_monotonic_decreasing


def test_a_grid_that_holds_images_out_is_ranked_by_those() -> None:
    held_out = {"num_validation": 300, "objectives": '["val/elbo"]', "directions": '["maximize"]', "epochs": 3}
    study = SyntheticStudy()
    for latent_dim, validation, test in [(2, -30.0, -10.0), (4, -20.0, -40.0)]:
        study.add("vae", latent_dim, 0, **held_out)
        study.history[-1]["val/elbo"] = validation
        study.trials[-1]["test/elbo"] = test
    found = answer_of(study)
    assert (found.metric, found.is_selected) == ("val/elbo", True)
    assert found.ranked["mean"].tolist() == [-20.0, -30.0]
    assert UNSELECTED not in [" ".join(line) for line in printed(study)]


def test_what_was_lost_with_some_seed_has_no_rank() -> None:
    """Its mean would be a lucky one: of those that finished, were not stopped, and keep to the constraints."""
    study = SyntheticStudy()
    for latent_dim, second in {2: "finished", 4: "diverged", 8: "failed", 16: "stopped", 32: "violates"}.items():
        for seed in (0, 1):
            is_lost = seed == 1 and second not in ("finished", "violates")
            settings = {"latent_dim": latent_dim, "seed": seed, "status": second if is_lost else "finished"}
            violates = "val/rate <= 1" if seed == 1 and second == "violates" else None
            study.add_searched(-50.0 if latent_dim == 2 else -10.0, **settings, violates=violates)
    found = answer_of(study)
    assert found.metric == "val/elbo"
    assert found.ranked[["mean", "n"]].to_numpy().tolist() == [[-50.0, 2]]


def test_where_all_was_lost_nothing_is_printed() -> None:
    study = SyntheticStudy()
    for status in ("stopped", "failed"):
        study.add_searched(-10.0, latent_dim=len(study.trials) + 2, status=status)
    assert summarise_answer(study.tables()) is None


@pytest.mark.parametrize("others", [{"binarisation": "dynamic"}, {"pixel_scaling": "unit_norm"}])
def test_bounds_of_other_images_are_not_ranked(others: dict[str, str]) -> None:
    study = SyntheticStudy()
    study.add("vae", 2, 0, binarisation="none")
    study.add("vae", 2, 0, **{"binarisation": "none"} | others)
    assert compute_answer(study.tables()) is None


def test_a_population_has_no_configurations_to_rank(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.random_search(2, epochs=3, scheduler="pbt")
    write_tables(tmp_path, (study.tables().trials, study.tables().history))
    text = (
        "name: population\ndataset: digits\ndefaults: {epochs: 4, learning_rate: {loguniform: [1e-4, 1e-2]}}\n"
        "space: [{model: vae, latent_dim: 2}]\nsearch: {sampler: random, num_trials: 4}\nscheduler: {name: fifo}\n"
    )
    shown = []
    for scheduler in ("fifo", "pbt, interval: 2"):
        console = Console(file=io.StringIO())
        print_answer(load(tmp_path, edit("name: fifo", f"name: {scheduler}", text)), tmp_path, console)
        assert isinstance(console.file, io.StringIO)
        shown.append(console.file.getvalue())
    assert "validation ELBO" in shown[0]
    assert shown[1] == ""


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

    monkeypatch.setattr(answer, "compute_answer", fail)
    console = Console(file=io.StringIO(), width=200)
    print_answer(load_study(PUBLISHED / "traversals" / "study.yaml"), PUBLISHED / "traversals", console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "The configurations could not be ranked (ZeroDivisionError: planted).\n"
