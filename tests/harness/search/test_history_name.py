"""A history keeps its name, and is found by the name that an earlier spikeslab gave it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.datasets import identify_dataset, load_dataset
from harness.search.history_name import name_former_history, name_history
from harness.study.file import load_study
from tests.harness.search.searching import ONE_SPACE, Searching
from tests.harness.small_studies import load

TPE = ONE_SPACE + "search: {sampler: tpe, num_trials: 4, metric: val/elbo}\n"
CONSTRAINED = TPE.replace("val/elbo}", "val/elbo, constraints: [val/rate >= 3]}")
BINARY = TPE.replace("epochs: 2", "epochs: 2, binarisation: static")
STUDIES = Path(__file__).parents[3] / "studies"


def rename(path: Path, old: str, new: str) -> None:
    """Give a history the name under which an earlier spikeslab would have stored it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("UPDATE studies SET study_name = ? WHERE study_name = ?", (new, old)).rowcount == 1


def test_options_that_a_study_does_not_use_are_no_part_of_its_historys_name(tmp_path: Path) -> None:
    """The name as it was first written here: a setting or an option that is added later must not change it."""
    study, digits = load(tmp_path, TPE), load_dataset("digits")
    assert name_history(study, digits.content_hash) == "demo-65aa2c4f"


@pytest.mark.parametrize("read_only", [True, False])
def test_a_search_goes_on_with_the_history_that_an_earlier_version_began(tmp_path: Path, read_only: bool) -> None:
    searching = Searching(tmp_path, load_dataset("digits"), TPE)
    first = searching.run(at_most=2)
    names = [name(searching.study, searching.dataset.content_hash) for name in (name_history, name_former_history)]
    assert names[1] is not None
    rename(searching.folder / "optuna.db", names[0], names[1])
    source = searching.source(read_only=read_only)
    assert [trial.trial_id for trial in source.trials] == [trial.trial_id for trial in first]
    assert source.notices == []


@pytest.mark.parametrize(
    "name", ["example-tpe-2bc59704", "open-hyperparameters-vae-8acdd3ba", "open-hyperparameters-vsc-quick-f4a42a38"]
)
def test_the_former_name_is_the_one_that_the_earlier_version_gave(name: str) -> None:
    """Names from commit 07407fd, when defaults were part of them."""
    study = load_study(STUDIES / f"{name.rpartition('-')[0]}.yaml")
    assert name_former_history(study, identify_dataset(study.dataset).content_hash) == name


@pytest.mark.parametrize("text", [CONSTRAINED, BINARY, TPE + "scheduler: {name: asha, resource: steps}\n"])
def test_what_no_earlier_version_could_search_has_no_former_name(tmp_path: Path, text: str) -> None:
    """Else a search whose constraints are new would go on with the history of the one without."""
    assert name_former_history(load(tmp_path, text), "c" * 64) is None
