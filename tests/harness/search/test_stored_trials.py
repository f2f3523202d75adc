"""A search whose space changes begins with the stored trials that lie in the new one."""

from pathlib import Path

import optuna
import pytest

from harness.search.stored_trials import SPACE
from tests.harness.search.searching import ONE_SPACE, STUDIES, Searching, ids
from tests.harness.search.test_notices import search, shown
from tests.harness.small_studies import edit

SIX = {name: ONE_SPACE + f"search: {{sampler: {name}, num_trials: 6}}\n" for name in ("tpe", "gp")}
WIDER = ("uniform: [0.5, 2]", "uniform: [0.1, 4]")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_widened_search_goes_on_from_all_of_its_trials_and_says_how_many(results: Path, sampler: str) -> None:
    first = search(results, SIX[sampler]).run()
    wider = search(results, edit(*WIDER, SIX[sampler]))
    notice = (
        "The space, the search or the code of demo is another than before: it begins with the 6 trained trials of the "
        "old one that lie in it, and proposes 6 more."
    )
    assert shown(wider) == [notice]  # and nothing is written
    source = wider.source()
    assert source.notices == [notice]
    assert (ids(source.trials), source.num_trials) == (ids(first), 12)
    rest = wider.run(source)
    assert len(rest) == 6
    assert set(ids(rest)).isdisjoint(ids(first))
    stored = wider.optuna_trials()
    assert [t.value for t in stored[:6]] == [-abs(t.settings.latent_dim - 5.0) for t in first]  # the sampler knows them
    again = wider.source()
    assert (ids(again.trials), again.num_trials, again.next()) == (ids([*first, *rest]), 12, None)


def test_a_sampler_of_generations_says_that_it_learns_nothing_from_stored_trials(results: Path) -> None:
    text = edit("tpe", "cmaes", SIX["tpe"])
    search(results, text).run(at_most=2)
    wider = search(results, edit(*WIDER, text))
    notice = (
        "The space, the search or the code of demo is another than before: it begins with the 2 trained trials of the "
        "old one that lie in it, from which cmaes learns nothing, and proposes 6 more."
    )
    assert wider.source().notices == [notice]


def test_only_what_lies_in_the_new_space_is_taken_over(results: Path) -> None:
    first = search(results, SIX["tpe"]).run()
    narrower = search(results, edit("int: [2, 9]", "int: [5, 12]", SIX["tpe"]))
    inside = [trial for trial in first if trial.settings.latent_dim >= 5]
    assert 0 < len(inside) < 6
    source = narrower.source()
    assert ids(source.trials) == ids(inside)
    assert f"begins with the {len(inside)} trained" in source.notices[0]
    assert source.notices[0].endswith(f" {6 - len(inside)} others are not counted.")


def test_what_a_fixed_setting_was_counts(results: Path) -> None:
    """A setting that had a value, its default even, is searched now; one that was searched has a value."""
    first = search(results, SIX["tpe"]).run()
    rate = edit("epochs: 2", "epochs: 2, learning_rate: {loguniform: [1e-4, 1e-2]}", SIX["tpe"])
    assert ids(search(results, rate).source().trials) == ids(first)
    fixed = edit("{int: [2, 9]}", str(first[0].settings.latent_dim), SIX["tpe"])
    alike = [t for t in first if t.settings.latent_dim == first[0].settings.latent_dim]
    assert ids(search(results, fixed).source().trials) == ids(alike)
    other_rate = edit("epochs: 2", "epochs: 2, learning_rate: 0.01", SIX["tpe"])
    assert search(results, other_rate).source().trials == []


def test_lists_ranges_and_several_sub_spaces_are_found_again(results: Path) -> None:
    text = STUDIES["tpe"].replace("num_trials: 6", "num_trials: 20")
    first = search(results, text).run()
    assert {t.settings.model for t in first} == {"vae", "vsc"}
    wider = search(results, edit("range: [1, 3, 0.5]", "range: [0.5, 3, 0.5]", text))
    assert ids(wider.source().trials) == ids(first)


def test_what_has_not_ended_is_not_taken_over(results: Path) -> None:
    searching = search(results, SIX["tpe"])
    source = searching.source()
    ended, failed, running = (source.next() for _ in range(3))
    assert ended is not None
    assert failed is not None
    assert running is not None
    source.tell(ended, searching.end(ended))
    source.tell(failed, searching.end(failed, "failed"))
    assert ids(search(results, edit(*WIDER, SIX["tpe"])).source().trials) == [ended.trial_id]


@pytest.mark.parametrize("change", ["seed: 1, num_trials: 6", "num_trials: 6, at_once: 2"])
def test_a_search_of_the_same_space_by_other_means_is_independent(results: Path, change: str) -> None:
    search(results, SIX["tpe"]).run()
    assert search(results, edit("num_trials: 6", change, SIX["tpe"])).source().trials == []


def test_a_search_with_other_training_seeds_is_independent_of_one_that_had_them(results: Path) -> None:
    search(results, SIX["tpe"]).run()
    other = SIX["tpe"] + "seeds: [1]\n"
    assert len(search(results, other).run()) == 6
    assert search(results, edit("num_trials: 6", "seed: 1, num_trials: 6", other)).source().trials == []


def test_a_run_killed_while_it_takes_over_takes_over_the_rest(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search(results, SIX["tpe"]).run()
    wider: Searching = search(results, edit(*WIDER, SIX["tpe"]))
    told = 0

    def die(*_: object) -> None:
        nonlocal told
        told += 1
        if told == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.search.optuna_source.OptunaSource.tell", die)
        with pytest.raises(KeyboardInterrupt):
            wider.source()
    source = wider.source()
    assert (ids(source.trials), source.num_trials) == (ids(first), 12)
    assert [t.value for t in wider.optuna_trials()] == [-abs(t.settings.latent_dim - 5.0) for t in first]


def test_a_history_that_does_not_say_its_space_is_left_alone(results: Path) -> None:
    """As an earlier version wrote it: perhaps only the seed is another, and the searches are to be independent."""
    searching = search(results, SIX["tpe"])
    searching.run()
    storage = f"sqlite:///{searching.folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    optuna.load_study(study_name=name, storage=storage).set_user_attr(SPACE, None)
    assert search(results, edit(*WIDER, SIX["tpe"])).source().trials == []
