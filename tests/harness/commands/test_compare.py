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
    [("random", "quasirandom"), ("grid", "choice"), ("epochs: 2", "epochs: 9"), ("epochs: 2", "beta: 1, epochs: 2")],
)
def test_searches_of_one_space_may_differ_in_all_else(tmp_path: Path, old: str, new: str) -> None:
    check_same_space([load(tmp_path, SEARCH), other(tmp_path, old, new)])
