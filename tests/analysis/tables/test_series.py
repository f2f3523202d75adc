# ruff: noqa: RUF001  (a Greek letter, meant as one)
import pandas as pd
import pytest

from analysis import wording
from analysis.tables.series import (
    MAX_SERIES,
    MAX_SINGLES,
    NothingToDrawError,
    assign_series,
    finished_with,
    mean_over_seeds,
    spread,
    varying_settings,
    varying_within_models,
)
from tests.analysis.synthetic import SyntheticStudy


def test_series_are_named_by_model_and_alpha_alone_when_nothing_else_varies(
    quickstart: SyntheticStudy,
) -> None:
    rows = assign_series(quickstart.tables().trials, apart_from=["latent_dim"])
    assert list(rows["series"].cat.categories) == ["VAE", "VSC, α = 0.05", "VSC, α = 0.2", "VSC, α = 0.5"]
    assert not rows["individual"].any()


def test_a_setting_that_only_one_model_has_does_not_vary(quickstart: SyntheticStudy) -> None:
    varying = varying_settings(quickstart.tables().trials)
    assert varying == ["model", "latent_dim", "alpha"]


@pytest.mark.parametrize(
    ("setting", "values", "labels"),
    [
        ("learning_rate", [1e-3, 3e-3], ["VAE, learning rate = 0.001", "VAE, learning rate = 0.003"]),
        ("batch_size", [32, 64], ["VAE, batch size = 32", "VAE, batch size = 64"]),
        ("epochs", [11, 50], ["VAE, epochs = 11", "VAE, epochs = 50"]),
        ("hidden", ["[400]", "[8, 8]"], ["VAE, hidden = [400]", "VAE, hidden = [8, 8]"]),
        ("dataset", ["digits", "mnist"], ["VAE, dataset = digits", "VAE, dataset = mnist"]),
        ("a_later_setting", [None, "b"], ["VAE, a later setting = b", "VAE"]),
        ("beta", [1.0, 1.0 + 1e-12], ["VAE, β = 1", "VAE, β = 1.000000000001"]),
    ],
)
def test_trials_unlike_in_any_setting_are_never_averaged(setting: str, values: list[object], labels: list[str]) -> None:
    study = SyntheticStudy()
    for value in values:
        for seed in range(3):
            study.add("vae", latent_dim=8, seed=seed, **{setting: value})
    rows = assign_series(study.tables().trials, apart_from=["latent_dim"])
    means = mean_over_seeds(rows, "test/elbo", by=["latent_dim"])
    assert list(means["series"]) == labels
    assert list(means["n"]) == [3, 3]
    assert list(means["variant"]) == [0, 1]


def test_a_search_in_which_every_trial_is_its_own_configuration_has_no_means(
    random_search: SyntheticStudy,
) -> None:
    trials = random_search.tables().trials
    rows = assign_series(trials, apart_from=["latent_dim"])
    means = mean_over_seeds(rows, "test/elbo", by=["latent_dim"])
    assert rows["individual"].all()
    assert list(rows["series"].cat.categories) == ["VAE", "VSC"]
    assert sorted(means["mean"]) == sorted(trials["test/elbo"])
    assert (means["n"] == 1).all()
    assert means["low"].isna().all()


def test_single_trials_of_a_grid_are_told_apart_by_alpha_and_estimator() -> None:
    study = SyntheticStudy()
    for i in range(MAX_SERIES + 1):
        for alpha in (0.01, 0.2):
            for estimator in ("relaxed", "disarm"):
                study.add("vsc", 8, 0, alpha, estimator=estimator, batch_size=16 + i)
    rows = assign_series(study.tables().trials, apart_from=["latent_dim"])
    assert rows["individual"].all()
    assert rows.groupby(["alpha", "estimator"])["series"].nunique().tolist() == [1, 1, 1, 1]
    assert rows["series"].nunique() == 4
    assert rows.groupby("estimator")["variant"].unique().map(list).to_dict() == {"disarm": [0], "relaxed": [1]}


@pytest.mark.parametrize(
    ("num", "num_seeds", "individual"),
    [(MAX_SERIES, 2, False), (MAX_SERIES + 1, 2, True), (MAX_SINGLES, 1, False), (MAX_SINGLES + 1, 1, True)],
)
def test_series_stay_series_up_to_the_limit(num: int, num_seeds: int, individual: bool) -> None:
    study = SyntheticStudy()
    for i in range(num):
        for seed in range(num_seeds):
            study.add("vae", latent_dim=8, seed=seed, batch_size=16 + i)
    rows = assign_series(study.tables().trials, apart_from=["latent_dim"])
    assert rows["individual"].all() == individual


def test_only_finished_trials_with_a_finite_value_count(quickstart: SyntheticStudy) -> None:
    for status in ("stopped", "diverged", "failed", "running"):
        quickstart.add("vae", latent_dim=8, seed=9, status=status)
    trials = quickstart.tables().trials
    trials.loc[0, "test/elbo"] = float("nan")
    assert len(finished_with(trials, ["test/elbo"])) == 59


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "failed"}, "no trial has finished"),
        ({"test/elbo": float("nan")}, "no finished trial has a value of test/elbo"),
    ],
)
def test_nothing_to_draw_says_why(quickstart: SyntheticStudy, change: dict[str, object], reason: str) -> None:
    trials: pd.DataFrame = quickstart.tables().trials.assign(**change)
    with pytest.raises(NothingToDrawError, match=reason):
        finished_with(trials, ["test/elbo"])


@pytest.mark.parametrize(
    ("num", "expected"), [(3, [8, 104, 200]), (1, [104]), (2, [8, 200]), (99, list(range(8, 201, 8)))]
)
def test_spread_keeps_the_smallest_the_median_and_the_largest(num: int, expected: list[int]) -> None:
    assert spread([*range(8, 201, 8), 8], num) == expected


@pytest.mark.parametrize(("sampler", "individual"), [("grid", False), ("tpe", True)])
def test_even_a_few_trials_of_a_search_stand_alone(sampler: str, individual: bool) -> None:
    study = SyntheticStudy()
    for rate in (0.00012345678, 0.0023456789):
        study.add("vae", 8, 0, learning_rate=rate, sampler=sampler)
    rows = assign_series(study.tables().trials, apart_from=["latent_dim"])
    assert set(rows["individual"]) == {individual}


def test_a_setting_that_differs_between_models_alone_is_not_told_in_labels() -> None:
    study = SyntheticStudy()
    for model, rate in (("vsc_iclr", 1e-3), ("vsc_uai_code", 5e-4)):
        for alpha in (0.1, 0.5):
            study.add(model, 8, 0, alpha=alpha, learning_rate=rate, hidden="[8]" if alpha == 0.1 else "[9]")
    trials = study.tables().trials
    assert "learning_rate" in varying_settings(trials)
    assert varying_within_models(trials) == ["alpha", "hidden"]
    assert set(assign_series(trials, apart_from=["hidden"])["series"]) == {
        f"{model}, {wording.ALPHA} = {alpha}" for model in ("VSC (ICLR)", "VSC (UAI, code)") for alpha in ("0.1", "0.5")
    }
