"""What begins anew says so: searches and lists whose file changed, histories that are gone."""

from pathlib import Path

import pytest

from harness.commands.overview import summarise_plan, summarise_status
from harness.datasets import load_dataset
from harness.storage.place import Folder
from tests.harness.commands.test_overview import lines
from tests.harness.search.searching import ONE_SPACE, Searching
from tests.harness.small_studies import GOOD, SEEDS, edit

TPE = ONE_SPACE + "search: {sampler: tpe, num_trials: 3}\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def search(results: Path, text: str) -> Searching:
    """A study in a folder of results, as commands know it."""
    searching = Searching(results.parent, load_dataset("digits"), text)
    searching.folder = results / "demo"
    return searching


def shown(searching: Searching) -> list[str]:
    """The lines of `plan` and of `status` that are neither table nor heading."""
    both = [
        lines(describe(searching.study, Folder(searching.folder.parent)))[1]
        for describe in (summarise_plan, summarise_status)
    ]
    return sorted(set(both))


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.01, 0.3]", "0.4, 0.5]"), ("hidden: [8]", "hidden: [9]"), ("tpe,", "tpe, seed: 1,")],
    ids=["alpha", "hidden", "seed"],
)
def test_a_search_that_became_another_says_how_many_trials_are_not_counted(results: Path, old: str, new: str) -> None:
    search(results, TPE).run()
    changed = search(results, edit(old, new, TPE))
    notice = (
        "The space, the search or the code of demo is another than before, so it is a new search: 3 trained trials of "
        "the old one are not counted. Undo the change to go on with that one."
    )
    assert shown(changed) == [notice]
    assert changed.source().notices == [notice]
    changed.run(at_most=1)
    assert shown(changed) == [notice]


def test_a_search_that_goes_on_has_nothing_to_say(results: Path) -> None:
    search(results, TPE).run()
    assert search(results, TPE).source().notices == []
    assert search(results, edit("num_trials: 3", "num_trials: 5", TPE)).source().notices == []


@pytest.mark.parametrize("is_emptied", [True, False])
def test_a_history_that_is_gone_is_told_with_what_restores_it(results: Path, is_emptied: bool) -> None:
    searching = search(results, TPE)
    searching.run()
    path = results / "demo" / "optuna.db"
    path.write_bytes(b"") if is_emptied else path.unlink()
    notice = (
        f"{path} is missing or empty, so it is a new search: 3 trained trials are not counted. To restore it from "
        "MLflow: spikeslab collect demo"
    )
    assert shown(searching) == [notice]
    assert path.exists() == is_emptied
    assert not is_emptied or path.read_bytes() == b""  # so that collect can restore it
    assert searching.source().notices == [notice]


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("alpha: 0.2", "alpha: 0.3", 4),
        (SEEDS, "seeds: [0]\n", 3),
        ("hidden: [8]", "hidden: [9]", 6),
        ("alpha: 0.2", "alpha: {grid: [0.2, 0.3]}", 0),
        ("epochs: 2", "epochs: 3", 0),  # which goes on from there
    ],
)
def test_a_list_says_how_many_trained_trials_are_no_longer_in_it(results: Path, old: str, new: str, count: int) -> None:
    search(results, GOOD).run()
    notice = f"{count} trained trials are not of the study's file as it is now, and are not counted."
    assert search(results, edit(old, new)).source().notices == ([notice] if count else [])


def test_a_list_that_confirms_says_when_it_has_become_another(results: Path) -> None:
    text = GOOD + "confirm: {top: 1, seeds: [0, 1]}\n"
    search(results, text).run()
    assert search(results, text).source().notices == []
    (notice,) = search(results, edit("hidden: [8]", "hidden: [9]", text)).source().notices
    assert "trained trials are not of the study's file as it is now" in notice


def test_trials_that_confirm_are_not_taken_for_forgotten(results: Path) -> None:
    text = TPE + "confirm: {top: 1, seeds: [0, 1]}\n"
    search(results, text).run()
    longer = search(results, text.replace("num_trials: 3", "num_trials: 4"))
    assert longer.source().notices == []
