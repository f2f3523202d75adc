"""A history keeps its name, and is found by the name that an earlier spikeslab gave it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.datasets import identify_dataset, load_dataset
from harness.python.study import Study as StudyOfPython
from harness.search.history_name import list_former_names, name_history
from harness.study.file import load_study
from tests.harness.plugins.examples import change, folder, none_left
from tests.harness.search.searching import ONE_SPACE, Searching, ids
from tests.harness.small_studies import load

__all__ = ["folder", "none_left"]  # fixtures

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


def test_mode_is_no_part_of_a_historys_name(tmp_path: Path) -> None:
    """Every metric knows its own: whether the file gives it changes nothing."""
    with_mode = load(tmp_path, TPE.replace("val/elbo}", "val/elbo, mode: max}"))
    assert name_history(with_mode, "c" * 64) == name_history(load(tmp_path, TPE), "c" * 64)
    assert list_former_names(with_mode, "c" * 64) == list_former_names(load(tmp_path, TPE), "c" * 64)


def test_a_study_from_python_has_the_histories_of_its_file() -> None:
    """With several metrics, too, beside which no study may have a mode today."""
    path = STUDIES / "rate-distortion-quick.yaml"
    python, file = StudyOfPython.from_file(path), load_study(path)
    assert name_history(python, "c" * 64) == name_history(file, "c" * 64)
    assert list_former_names(python, "c" * 64) == list_former_names(file, "c" * 64)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("former", [1, 2, 3])
def test_a_search_goes_on_with_the_history_that_an_earlier_version_began(
    tmp_path: Path, former: int, read_only: bool
) -> None:
    searching = Searching(tmp_path, load_dataset("digits"), TPE)
    first = searching.run(at_most=2)
    name = name_history(searching.study, searching.dataset.content_hash)
    names = list_former_names(searching.study, searching.dataset.content_hash)
    assert (names[0], len(set(names))) == (name, 4)
    rename(searching.folder / "optuna.db", name, names[former])
    source = searching.source(read_only=read_only)
    assert [trial.trial_id for trial in source.trials] == [trial.trial_id for trial in first]
    assert source.notices == []


def test_the_name_with_mode_is_the_one_that_the_earlier_version_gave(tmp_path: Path) -> None:
    """A name from commit c6867ae, of a file that gave it."""
    assert list_former_names(load(tmp_path, TPE), load_dataset("digits").content_hash)[1] == "demo-1bfb8739"


@pytest.mark.parametrize(
    "name", ["example-tpe-2bc59704", "open-hyperparameters-vae-8acdd3ba", "open-hyperparameters-vsc-quick-f4a42a38"]
)
def test_a_former_name_is_the_one_that_the_earlier_version_gave(name: str) -> None:
    """Names from commit 07407fd, when defaults were part of them."""
    study = load_study(STUDIES / f"{name.rpartition('-')[0]}.yaml")
    assert name in list_former_names(study, identify_dataset(study.dataset).content_hash)[2:]


@pytest.mark.parametrize("text", [CONSTRAINED, BINARY, TPE + "scheduler: {name: asha, resource: steps}\n"])
def test_what_no_earlier_version_could_search_has_no_former_name(tmp_path: Path, text: str) -> None:
    """Else a search whose constraints are new would go on with the history of the one without."""
    study = load(tmp_path, text)
    without = set(list_former_names(load(tmp_path, TPE), "c" * 64))
    assert without.isdisjoint(list_former_names(study, "c" * 64))
    assert len(list_former_names(study, "c" * 64)) == 2, "none with all defaults"


def test_a_search_whose_code_has_changed_learns_nothing_from_the_old_codes_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching = Searching(tmp_path, load_dataset("digits"), TPE)
    first = searching.run()
    for module in ("harness.ledger.trial", "harness.search.history_name"):
        monkeypatch.setattr(f"{module}.SEMANTICS_VERSION", 4)
    source = searching.source()
    assert ["4 trained trials of the old one are not counted" in notice for notice in source.notices] == [True]
    while (trial := source.next()) is not None:
        source.tell(trial, searching.end(trial, value=-100.0))
    assert [trial.value for trial in searching.optuna_trials()] == [-100.0] * 4
    monkeypatch.undo()
    assert [trial.trial_id for trial in searching.source().trials] == [trial.trial_id for trial in first]


def test_a_search_whose_plugin_has_changed_keeps_what_does_not_depend_on_it(folder: Path, tmp_path: Path) -> None:
    text = ONE_SPACE.replace(
        "space:\n", "plugins: [my_parts]\nspace:\n  - model: laplace\n    latent_dim: {int: [2, 9]}\n"
    )
    text += "search: {sampler: tpe, num_trials: 9}\n"
    searching = Searching(folder, load_dataset("digits"), text)
    first = searching.run()
    depends = [trial.settings.model == "laplace" for trial in first]
    assert True in depends
    assert False in depends
    change(folder, "at_least=0.01", "at_least=0.02")
    source = Searching(folder, load_dataset("digits"), text).source()
    assert ids(source.trials) == [trial.trial_id for trial, does in zip(first, depends, strict=True) if not does]
    assert f"the {depends.count(False)} trained trials of the old one" in source.notices[0]
    change(folder, "at_least=0.02", "at_least=0.01")
    assert ids(Searching(folder, load_dataset("digits"), text).source().trials) == ids(first)


def test_a_former_history_of_other_code_is_no_history_of_today(tmp_path: Path) -> None:
    """A name that left out the code was that of every code: what the search began with before decides."""
    searching = Searching(tmp_path, load_dataset("digits"), TPE)
    searching.run(at_most=2)
    names = list_former_names(searching.study, searching.dataset.content_hash)
    rename(searching.folder / "optuna.db", names[0], names[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.ledger.trial.SEMANTICS_VERSION", 4)
        assert searching.source(read_only=True).trials == []
    assert len(searching.source(read_only=True).trials) == 2
