# ruff: noqa: RUF001  (a Greek letter, meant as one)
import pandas as pd
import pytest

from analysis.tables.configurations import (
    describe_standing,
    longest_of_each,
    median_of_each,
    number_configurations,
    short_labels,
)
from analysis.tables.tables import settings_of
from analysis.wording import short_value
from tests.analysis.synthetic import SyntheticStudy


def lengths(schedule: str | None = None) -> pd.DataFrame:
    """Two seeds of one configuration at 10 and 20 epochs, the second seed at 10 only, and another at 5."""
    study = SyntheticStudy()
    for seed, epochs, latent_dim in ((0, 20, 8), (0, 10, 8), (1, 10, 8), (0, 5, 16)):
        study.add("vsc", latent_dim, seed, alpha=0.2, epochs=epochs, sharpness_schedule=schedule or "per_epoch")
    return study.tables().trials


def test_the_seed_and_how_a_trial_went_are_no_settings() -> None:
    names = settings_of(lengths())
    assert {"model", "latent_dim", "epochs", "num_validation", "sharpness"} <= set(names)
    assert not {"seed", "status", "phase", "train_seconds", "test/elbo"} & set(names)


def test_a_configuration_is_all_settings_but_the_seed() -> None:
    trials = lengths()
    first, shorter, other_seed, other = number_configurations(trials)
    assert shorter == other_seed
    assert len({first, shorter, other}) == 3
    assert number_configurations(trials, apart_from=["epochs", "latent_dim"]).nunique() == 1


def test_the_longest_of_each_training_is_kept_in_the_order_of_the_trials() -> None:
    assert list(longest_of_each(lengths())["trial_id"]) == ["t00000", "t00002", "t00003"]


def test_where_the_length_shapes_the_training_none_is_the_beginning_of_another() -> None:
    assert len(longest_of_each(lengths("ramp"))) == 4


def test_labels_name_the_settings_in_few_digits() -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, learning_rate=0.00123456)
    study.add("vsc", 200, 0, alpha=0.1234567, learning_rate=0.002)
    assert short_labels(study.tables().trials, ["model", "alpha", "learning_rate", "latent_dim"]) == [
        "VAE, learning rate = 0.00123, latent dimension = 8",
        "VSC, α = 0.123, learning rate = 0.002, latent dimension = 200",
    ]


def test_labels_of_different_settings_differ() -> None:
    study = SyntheticStudy()
    for rate in (0.00123456, 0.00123457, 0.00123457):
        study.add("vae", 8, 0, learning_rate=rate)
    labels = short_labels(study.tables().trials, ["learning_rate"])
    assert labels[0] != labels[1]
    assert labels[1] == labels[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(512, "512"), (12345, "12345"), (8.0, "8"), (1e-4, "0.0001"), (0.33333333, "0.333"), ("[400]", "[400]")],
)
def test_values_are_written_short(value: object, text: str) -> None:
    assert short_value(value) == text


def test_the_median_of_a_configuration_is_one_of_its_seeds_whatever_the_order() -> None:
    study = SyntheticStudy()
    for seed, bound in enumerate((-100.0, -130.0, -110.0, -110.0, float("nan"))):
        study.add("vae", 8, seed)
        study.trials[-1]["test/elbo"] = bound
    study.add("vae", 16, 3)
    study.trials[-1]["test/elbo"] = float("nan")
    trials = study.tables().trials
    assert median_of_each(trials)[["latent_dim", "seed"]].to_numpy().tolist() == [[8, 2], [16, 3]]
    assert median_of_each(trials.iloc[::-1])["seed"].tolist() == [3, 2]
    assert describe_standing(trials).tolist() == [
        *("test ELBO −100.0, rank 1 of 4 seeds", "test ELBO −130.0, rank 4 of 4 seeds"),
        *2 * ["test ELBO −110.0, rank 2 of 4 seeds"],
        *("", ""),
    ]
    assert not describe_standing(trials.drop(columns="test/elbo")).any()
    assert median_of_each(trials.drop(columns="test/elbo"))["seed"].tolist() == [0, 3]
