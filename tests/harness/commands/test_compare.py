"""Which searches may be drawn in one figure."""

from pathlib import Path

import pytest

from harness.commands.compare import check_same_space
from harness.errors import InputError
from harness.study import Study
from tests.harness.small_studies import load

SEARCH = """\
name: one
dataset: digits
defaults: {hidden: [8], epochs: 2}
space:
  - {model: vsc, latent_dim: {grid: [2, 4]}, alpha: {uniform: [0.1, 0.3]}}
search: {sampler: random, num_trials: 3, metric: train/loss}
"""


def other(folder: Path, old: str, new: str) -> Study:
    return load(folder, SEARCH.replace("name: one", "name: other").replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("0.3]", "0.4]", "space[0].alpha"),
        ("uniform", "loguniform", "space[0].alpha"),
        ("hidden: [8]", "hidden: [9]", "space[0].hidden"),
        ("hidden: [8]", "hidden: [8], beta: 2", "space[0].beta"),
        ("search:", "  - {model: vae, latent_dim: 2}\nsearch:", "the number of sub-spaces"),
        ("{grid: [2, 4]}", "{int: [2, 4]}", "space[0].latent_dim"),
        ("model: vsc", "model: vsc, gamma_link: sigmoid", "space[0].gamma_link"),
        ("digits", "mnist", r"dataset (digits, mnist)"),
        ("train/loss", "train/rate", "search.metric (train/loss, train/rate)"),
    ],
)
def test_searches_of_different_spaces_are_refused(tmp_path: Path, old: str, new: str, difference: str) -> None:
    with pytest.raises(InputError) as caught:
        check_same_space([load(tmp_path, SEARCH), other(tmp_path, old, new)])
    assert str(caught.value) == (f"one and other differ in {difference}; compare searches of one space by one metric")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("random", "quasirandom"),
        ("grid: [2, 4]", "choice: [4, 2]"),
        ("epochs: 2", "epochs: 9"),
        ("epochs: 2", "beta: 1, epochs: 2"),
        ("model: vsc", "model: vsc, gamma_link: exp_relu, gamma_clamp: 1e-6"),
    ],
)
def test_searches_of_one_space_may_differ_in_all_else(tmp_path: Path, old: str, new: str) -> None:
    check_same_space([load(tmp_path, SEARCH), other(tmp_path, old, new)])


def test_lists_of_widths_may_stand_in_any_order(tmp_path: Path) -> None:
    one, same = (
        SEARCH.replace("hidden: [8]", f"hidden: {{choice: {widths}}}") for widths in ([[8], [16]], [[16], [8]])
    )
    check_same_space([load(tmp_path, one), load(tmp_path, same.replace("name: one", "name: other"))])


@pytest.mark.parametrize("num", [1, 2, 3])
def test_a_study_is_not_compared_with_itself(tmp_path: Path, num: int) -> None:
    with pytest.raises(InputError) as caught:
        check_same_space([load(tmp_path, SEARCH)] * num)
    assert str(caught.value) == "one: nothing to compare it with; name a second study that searches the same space"


def test_a_constrained_search_is_not_compared_with_a_free_one(tmp_path: Path) -> None:
    text = SEARCH.replace("random", "tpe").replace("train/loss", "val/elbo")
    constrained = text.replace("val/elbo", "val/elbo, constraints: [val/rate <= 5]").replace("name: one", "name: two")
    check_same_space([load(tmp_path, constrained), load(tmp_path, constrained.replace("name: two", "name: three"))])
    with pytest.raises(InputError) as caught:
        check_same_space([load(tmp_path, text), load(tmp_path, constrained)])
    assert "one and two differ in search.constraints (none, val/rate <= 5);" in str(caught.value)
