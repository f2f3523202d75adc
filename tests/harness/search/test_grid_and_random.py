"""Trials that are known before any has run: grids, and what is drawn at random."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.datasets import Dataset
from harness.errors import InputError
from harness.ledger.trial import Trial
from harness.search.grid_and_random import ListSource, plan_trials
from harness.search.optuna_source import OptunaSource
from harness.study import Study
from tests.harness.search.searching import STUDIES, Searching, ids
from tests.harness.small_studies import GOOD, RANDOM, SEEDS, TPE, edit, load


def test_a_grid_runs_seed_by_seed(tmp_path: Path, dataset: Dataset) -> None:
    trials = plan_trials(load(tmp_path, edit("[0, 1]", "[7, 3]")), dataset)
    assert [(t.settings.seed, t.settings.model, t.settings.latent_dim) for t in trials] == [
        (7, "vae", 2),
        (7, "vsc", 2),
        (7, "vsc", 4),
        (3, "vae", 2),
        (3, "vsc", 2),
        (3, "vsc", 4),
    ]


def test_a_sub_space_may_have_seeds_of_its_own(tmp_path: Path, dataset: Dataset) -> None:
    """More at some points than elsewhere; what two sub-spaces share is one trial."""
    more = "  - {model: vsc, latent_dim: 4, alpha: 0.2, seeds: [0, 1, 5]}\n"
    study = load(tmp_path, edit(SEEDS, more + SEEDS))
    trials = plan_trials(study, dataset)
    of_four = [t.settings.seed for t in trials if t.settings.latent_dim == 4]
    assert of_four == [0, 1, 5]
    assert len(trials) == 7
    assert (study.all_seeds, study.count_trials()) == ((0, 1, 5), 9)


def test_a_configuration_that_two_sub_spaces_share_is_one_trial(tmp_path: Path, dataset: Dataset) -> None:
    text = edit("  - model: vsc\n", "  - model: vae\n    latent_dim: {range: [1, 3, 1]}\n    beta: 1\n  - model: vsc\n")
    trials = plan_trials(load(tmp_path, text), dataset)
    assert [t.settings.latent_dim for t in trials if t.settings.model == "vae"] == [2, 1, 3] * 2
    assert len(trials) == len(set(ids(trials))) == 10


def test_a_default_that_is_spelled_out_is_the_same_trial(tmp_path: Path, dataset: Dataset) -> None:
    plain = plan_trials(load(tmp_path, GOOD), dataset)
    text = edit("epochs: 2", "epochs: 2\n  beta: 1\n  learning_rate: 1e-3\n  gamma_link: exp_relu\n  num_validation: 0")
    assert ids(plan_trials(load(tmp_path, text), dataset)) == ids(plain)


def test_random_search_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path, dataset: Dataset) -> None:
    text = STUDIES["random"]
    first, again = (ids(plan_trials(load(tmp_path, text), dataset)) for _ in range(2))
    other = ids(plan_trials(load(tmp_path, text.replace("num_trials: 4", "num_trials: 4, seed: 1")), dataset))
    assert first == again
    assert set(first).isdisjoint(other)


def test_more_random_trials_begin_with_the_fewer(tmp_path: Path, dataset: Dataset) -> None:
    text = edit("[0, 1]", "[0]", STUDIES["random"])
    few = ids(plan_trials(load(tmp_path, text), dataset))
    many = ids(plan_trials(load(tmp_path, text.replace("num_trials: 4", "num_trials: 30")), dataset))
    assert many[:4] == few
    assert len(set(many)) == 30


def test_random_search_draws_from_every_sub_space_and_runs_each_draw_with_every_seed(
    tmp_path: Path, dataset: Dataset
) -> None:
    trials = plan_trials(load(tmp_path, STUDIES["random"].replace("num_trials: 4", "num_trials: 30")), dataset)
    assert {t.settings.model for t in trials} == {"vae", "vsc"}
    first, second = trials[:30], trials[30:]
    assert [without_seed(t) for t in first] == [without_seed(t) for t in second]
    assert {t.settings.seed for t in first} == {0}
    assert {t.settings.seed for t in second} == {1}


def without_seed(trial: Trial) -> dict[str, Any]:
    return trial.settings.to_dict() | {"seed": None}


def test_draws_that_coincide_are_one_trial(tmp_path: Path, dataset: Dataset) -> None:
    trials = plan_trials(load(tmp_path, edit(SEEDS, RANDOM.replace("6}", "50}"))), dataset)
    assert len(trials) == len(set(ids(trials))) == 6  # three points, two seeds


def test_planning_reads_no_global_generator(tmp_path: Path, dataset: Dataset) -> None:
    study = load(tmp_path, STUDIES["random"])
    np.random.seed(1)
    first = ids(plan_trials(study, dataset))
    np.random.seed(2)
    assert ids(plan_trials(study, dataset)) == first


def test_a_configuration_that_the_dataset_cannot_have_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    study = load(tmp_path, edit("epochs: 2", "num_validation: 1500"))
    with pytest.raises(InputError) as caught:
        plan_trials(study, dataset)
    complaint = "num_validation: 1500 of 1500 training images; leave some to train on"
    assert str(caught.value) == f"{tmp_path}/study.yaml:4: {complaint}"
    with pytest.raises(InputError) as caught:
        plan_trials(load(tmp_path, GOOD, "num_validation=1500"), dataset)
    assert str(caught.value) == f"--set num_validation=1500: {complaint}"
    with pytest.raises(InputError) as caught:
        plan_trials(Study.model_validate(study.model_dump(mode="json", exclude_none=True)), dataset)
    assert str(caught.value) == f"study demo: {complaint}"


def test_a_setting_that_sub_spaces_give_each_has_the_line_of_none(tmp_path: Path, dataset: Dataset) -> None:
    latents = "latent_dim: 2\n", "latent_dim: 2\n    batch_size: 5000\n"
    for text, place in (
        (edit(*latents), "study.yaml:9"),
        (edit("epochs: 2", "batch_size: 64", edit(*latents)), "study.yaml"),
    ):
        with pytest.raises(InputError) as caught:
            Searching(tmp_path, dataset, text).source()
        assert str(caught.value).startswith(f"{tmp_path}/{place}: batch_size: 5000 of 1500 training images")


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (edit("epochs: 2", "batch_size: {grid: [32, SIZE]}"), 1500),
        (edit("epochs: 2", "batch_size: SIZE\n  num_validation: {grid: [1200, 0]}"), 300),
        (STUDIES["gp"].replace("epochs: 2", "epochs: 2, batch_size: {int: [32, SIZE]}"), 1250),
        (edit("epochs: 2", "images_per_epoch: {grid: [0, SIZE]}"), 1500),
    ],
    ids=["grid", "held-out", "gp", "epochs"],
)
def test_batches_and_epochs_that_the_dataset_could_not_fill_are_refused_before_any_trains(
    tmp_path: Path, dataset: Dataset, text: str, most: int
) -> None:
    """They would be trained as smaller ones, alike whatever the study says. A search holds a sixth of 1500 out."""
    name = "images_per_epoch" if "images_per_epoch" in text else "batch_size"
    with pytest.raises(InputError, match=f"/study.yaml:[34]: {name}: {most + 1} of {most} training images.*; give"):
        Searching(tmp_path, dataset, text.replace("SIZE", str(most + 1))).source()
    Searching(tmp_path, dataset, text.replace("SIZE", str(most))).source()


@pytest.mark.parametrize("text", [GOOD, edit(SEEDS, TPE)], ids=["grid", "tpe"])
def test_networks_that_the_images_do_not_fit_are_refused_before_any_trains(
    tmp_path: Path, dataset: Dataset, text: str
) -> None:
    with pytest.raises(
        InputError, match=r"/study.yaml:4: network: conv takes square images .* 8 x 8; set network: mlp"
    ):
        Searching(tmp_path, dataset, text.replace("epochs: 2", "network: conv")).source()


@pytest.mark.parametrize(("name", "kind"), [("grid", ListSource), ("random", ListSource), ("tpe", OptunaSource)])
def test_adaptive_samplers_ask_optuna(name: str, kind: type, tmp_path: Path, dataset: Dataset) -> None:
    assert isinstance(Searching(tmp_path, dataset, STUDIES[name]).source(), kind)
