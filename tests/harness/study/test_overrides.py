"""Study files: what `--set` changes."""

from pathlib import Path

import pytest

from tests.harness.small_studies import (
    GOOD,
    edit,
    enumerate_grid,
    load,
    refusal,
)


@pytest.mark.parametrize("under", ["", "defaults."])
def test_a_setting_is_overridden_for_every_trial(tmp_path: Path, under: str) -> None:
    text = edit("latent_dim: 2\n", "latent_dim: 2\n    epochs: 7\n")
    study = load(tmp_path, text, f"{under}epochs=3", f"{under}latent_dim={{grid: [5, 6]}}")
    assert [(c["model"], c["latent_dim"], c["epochs"]) for c in enumerate_grid(study)] == [
        ("vae", 5, 3),
        ("vae", 6, 3),
        ("vsc", 5, 3),
        ("vsc", 6, 3),
    ]


def test_seeds_are_overridden_for_every_trial(tmp_path: Path) -> None:
    text = edit("latent_dim: 2\n", "latent_dim: 2\n    seeds: [3, 4, 5]\n")
    assert load(tmp_path, text, "seeds=[7]").all_seeds == (7,)
    assert load(tmp_path, text, "space.1.seeds=[7]").all_seeds == (0, 1, 3, 4, 5, 7)


def test_settings_of_the_spike_are_overridden_where_there_is_one(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD, "alpha=0.4")
    assert [c.get("alpha") for c in enumerate_grid(study)] == [None, 0.4, 0.4]


def test_other_fields_are_overridden_and_their_sections_made(tmp_path: Path) -> None:
    overrides = ["seeds=[5]", "search.sampler=random", "search.num_trials=4", "name=other", "iw_samples=7"]
    study = load(tmp_path, GOOD, *overrides)
    assert (study.seeds, study.search.sampler, study.search.num_trials) == ((5,), "random", 4)
    assert (study.name, study.iw_samples) == ("other", 7)
    empty = edit("  epochs: 2\n  hidden: [8]\n", "")
    assert enumerate_grid(load(tmp_path, empty, "epochs=3"))[0]["epochs"] == 3


def test_the_last_of_two_overrides_holds(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, "iw_samples=7", "iw_samples=8").iw_samples == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set epochs: not key=value; write --set epochs=3 or --set search.num_trials=20"),
        ("=3", "--set =3: not key=value; write --set epochs=3"),
        ("", "--set : not key=value"),
        ("epochs=0", "--set epochs=0: defaults.epochs: 0 is too small; give at least 1"),
        ("epochs=", "--set epochs=: defaults.epochs: no value; give one, or remove it"),
        ("epoch=3", "--set epoch=3: epoch: unknown key; did you mean epochs?"),
        ("lr=3", "--set lr=3: lr: unknown key; use one of name"),
        ("seed=3", "--set seed=3: seed: unknown key; did you mean seeds?"),
        ("seeds=3", "--set seeds=3: seeds: 3 should be a list"),
        ("search.sampler=bayes", "--set search.sampler=bayes: search.sampler: 'bayes' is not one of 'grid'"),
        ("search.smapler=tpe", "--set search.smapler=tpe: search.smapler: unknown key; did you mean sampler?"),
        ("space=vae", "--set space=vae: space: 'vae' should be a list; write [{model: vae}]"),
        ("space=[vae]", "--set space=[vae]: space[0]: 'vae' should be a mapping of `key: value`; such as {model: vae}"),
        ("search=tpe", "--set search=tpe: search: 'tpe' should be a mapping"),
        ("latent_dim=[4, 8]", "--set latent_dim=[4, 8]: defaults.latent_dim: a list; write {grid: [4, 8]}"),
        ("latent_dim=4,8", "--set latent_dim=4,8: defaults.latent_dim: '4,8' is not a whole number, such as 16; "),
        ("seeds=0,1", "--set seeds=0,1: seeds: '0,1' should be a list; write [0, 1]"),
        ("epochs=1_000", "--set epochs=1_000: defaults.epochs: '1_000' is not a whole number, such as 16; write 1000"),
        ("name=a/b", "--set name=a/b: name: 'a/b' is not a slug"),
        ("name.x=1", "--set name.x=1: study.yaml has no field name.x; write it as section.key=value"),
        ("space.7.alpha=1", "--set space.7.alpha=1: study.yaml has no field space.7.alpha"),
        ("hidden=[8", "--set hidden=[8:1: not valid YAML: expected"),
        ("hidden=a: b", "--set hidden=a: b:1: not valid YAML: mapping values are not allowed"),
        ("hidden=8\nepochs: 3", "--set hidden=8 epochs: 3: more than one value; give each its own --set"),
        ("a..b=1", "--set a..b=1: a: unknown key"),
        ("model=vae", "study.yaml:11: space[1].alpha: a vae has none; remove it"),
    ],
)
def test_a_wrong_override_is_reported_as_it_was_given(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, GOOD, [override]).startswith(message)


def test_a_mistake_of_the_file_is_reported_with_its_line_also_beside_an_override(tmp_path: Path) -> None:
    message = refusal(tmp_path, edit("alpha: 0.2", "alpha: 2"), ["epochs=3"])
    assert message.startswith("study.yaml:11: space[1].alpha: 2 is not inside")
