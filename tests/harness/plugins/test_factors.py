"""Datasets of plug-ins whose images were made from factors that are known."""

from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import Dataset, load_dataset, make_dataset
from harness.errors import InputError
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import EVALUATION_METRICS, FACTOR_EVALUATIONS
from harness.search.make_source import read_source
from harness.worker.trial_run import run_trial
from tests.harness.plugins.examples import change, read
from tests.models.measures.disentanglement.few_points import take_few_points

CLASSES = np.random.default_rng(0).integers(0, [2, 3], (80, 2))


def make_grey(**factors: object) -> Dataset:
    images, labels = np.full((80, 1, 2, 2), 128, np.uint8), np.zeros(80, np.uint8)
    return make_dataset("grey", images, labels, images.copy(), labels.copy(), **factors)  # type: ignore[arg-type]


def test_scores_of_disentanglement_are_measured_of_a_plugins_factors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_few_points(monkeypatch)
    change(folder, "seeds: [0, 1]", f"evaluate: [{', '.join(FACTOR_EVALUATIONS)}]", "laplace.yaml")
    change(folder, "epochs: 3", "num_validation: 50", "laplace.yaml")
    study = read(folder)
    trial = read_source(study, folder / "results").trials[0]
    list(run_trial(trial, study.measures, load_dataset("stripes"), folder / "results"))
    result = TrialFolder(folder / "results", trial).read_result()
    assert result is not None
    assert result.status == "finished", result.error
    assert set(result.metrics) == {name for own in FACTOR_EVALUATIONS for name in EVALUATION_METRICS[own]}
    assert all(isfinite(value) for value in result.metrics.values())
    assert result.metrics["disentanglement/num_images"] == 450
    assert result.metrics["disentanglement/factor_vae_ceiling"] == 1


def test_factors_tell_datasets_apart_and_change_no_hash_where_there_are_none() -> None:
    """The hash without is as it was first written here: all trials on such data have it in their names."""
    hashes = [
        make_grey().content_hash,
        *(
            make_grey(factors=("a", "b"), train_factors=classes).content_hash
            for classes in (CLASSES, CLASSES.astype(np.uint8), CLASSES[::-1])
        ),
    ]
    assert hashes[0] == "c1eb2d2250ca3ba53dd650224d4442249fe0750d3ac8a8ebc72c33cc30bdd05b"
    assert hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


def test_factors_are_read_only_and_those_that_were_given_are_left_alone() -> None:
    given = CLASSES.copy()
    kept = make_grey(factors=("a", "b"), train_factors=given).train_factors
    assert kept is not None
    assert not kept.flags.writeable
    assert given.flags.writeable


@pytest.mark.parametrize(
    ("factors", "named", "sentence"),
    [
        (
            "factors[:500, :1]",
            None,
            "its factors have the shape (500, 1); give a row for each of 500 training images, ",
        ),
        (
            "factors",
            None,
            "(600, 2); give a row for each of 500 training images, and a column for each of orientation, pl",
        ),
        (
            "factors[:500] / 1",
            None,
            "its factors are an array of float64; give a numpy array of integers, their classes",
        ),
        ("factors[:500].tolist()", None, "its factors are list; give a numpy array of integers, their classes"),
        ("factors[:500] - 1", None, "its factors have the class -1; number the classes of each from 0"),
        ("factors[:500] * [1, 0]", None, "its factors include place, which is the same in all training images but 0, "),
        ("np.eye(500, 2, dtype=int)", None, "the same in all training images but 1, and scores need 20; leave it out"),
        ("factors[:500, :1]", '("place",)', "its factors are place alone, and scores tell factors apart; name two at"),
        ("None", None, "its factors are named, but not given; give their classes as a fifth array, (N, factors)"),
        (
            "factors[:500]",
            "()",
            "of a fifth array the factors are named: add_dataset(name, load, factors=(...))); mend it",
        ),
    ],
)
def test_factors_that_make_no_score_are_refused(folder: Path, factors: str, named: str | None, sentence: str) -> None:
    change(folder, "factors[:500]", factors)
    change(folder, '("orientation", "place")', named or '("orientation", "place")')
    read(folder)
    with pytest.raises(InputError) as caught:
        load_dataset("stripes")
    assert str(caught.value).startswith("dataset stripes: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ('"place"', "ValueError: factors: 'place' is text; give a tuple of names, such as ('shape', 'x'); mend it"),
        ('("place", "place")', "ValueError: factor place: the name is taken; choose another; mend it"),
        ('("place", "of it")', "ValueError: factor 'of it': no legal name; use a-z, 0-9 and single - or _; mend it"),
    ],
)
def test_names_of_factors_are_legal(folder: Path, named: str, sentence: str) -> None:
    change(folder, '("orientation", "place")', named)
    with pytest.raises(InputError) as caught:
        read(folder)
    assert sentence in str(caught.value)


def test_scores_without_factors_are_refused_with_the_way_to_give_them(folder: Path) -> None:
    change(folder, ', factors=("orientation", "place")', "")
    change(folder, ", factors[:500]", "")
    change(folder, "seeds: [0, 1]", "evaluate: [disentanglement]", "laplace.yaml")
    with pytest.raises(InputError, match="those of stripes are not; remove it, or give them to the plug-in's add_dat"):
        read_source(read(folder), folder / "results")
