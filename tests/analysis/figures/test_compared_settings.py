# ruff: noqa: RUF001  (Greek letters, meant as such)
"""What each choice of setting is worth: differences from the default, paired by seed."""

import json

import pandas as pd
import pytest

from analysis import wording
from analysis.figures import compared_settings
from analysis.tables.defaults import DEFAULTS
from analysis.tables.series import NothingToDrawError
from analysis.wording import decimal
from models import settings
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy


def links() -> SyntheticStudy:
    study = SyntheticStudy()
    for clamp in (1e-6, 0.0):
        for seed in range(3):
            status = "diverged" if clamp == 0 else "finished"
            study.add("vsc", 8, seed, 0.2, gamma_clamp=clamp, status=status)
    return study


def test_a_configuration_that_always_diverged_is_shown_as_such() -> None:
    frame = compared_settings.compute(links().tables())
    rows = frame[frame["panel"] == "test/elbo"].set_index("gamma_clamp")
    assert rows.loc[0.0, "num_diverged"] == 3
    assert pd.isna(rows.loc[0.0, "mean"])
    assert rows.loc[1e-6, "num_diverged"] == 0
    axes = make_axes(*compared_settings.FIGURE.shape(frame))
    compared_settings.plot(frame, axes)
    assert [text.get_text() for text in axes[0, 0].texts] == ["3 of 3 diverged", decimal(rows.loc[1e-6, "mean"])]
    assert axes[0, 0].get_yticklabels()[-1].get_text().endswith("clamp 1e-06")
    assert [[line.get_marker() for line in ax.lines].count("x") for ax in axes[0]] == [1, 1]
    assert "diverged" not in " ".join(text.get_text() for text in axes[0, 1].texts)


def test_the_line_at_zero_does_not_strike_out_what_is_said_of_diverged_trials() -> None:
    frame = compared_settings.compute(links().tables())
    axes = make_axes(*compared_settings.FIGURE.shape(frame))
    compared_settings.plot(frame, axes)
    said = axes[0, 0].texts[0]
    [zero] = [line for line in axes[0, 0].lines if list(line.get_xdata()) == [0, 0]]
    assert said.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
    assert zero.get_zorder() < said.get_zorder()


def test_a_clamp_that_a_kl_from_logits_does_not_use_is_not_named() -> None:
    study = SyntheticStudy()
    for kl_from, clamp in (("gamma", 1e-6), ("gamma", 0.01), ("logits", 1e-6)):
        for seed in range(3):
            study.add("vsc", 8, seed, 0.2, kl_from=kl_from, gamma_clamp=clamp)
            study.trials[-1]["test/elbo"] = -100.0 - seed + (kl_from == "logits") * (1 + 0.1 * seed)
    frame = compared_settings.compute(study.tables())
    named = [label.partition("\n")[2] for label in dict.fromkeys(frame["label"])]
    assert named == ["clamp 1e-06, KL from γ", "KL from logits", "clamp 0.01, KL from γ"]
    assert compared_settings.find(frame).startswith("VSC, α = 0.2, KL from logits: test ELBO +1.10")


def test_a_clamp_that_alone_tells_rows_apart_is_named() -> None:
    study = SyntheticStudy()
    for kl_from, clamp in (("gamma", 1e-6), ("logits", 1e-6), ("logits", 0.01)):
        study.add("vsc", 8, 0, 0.2, kl_from=kl_from, gamma_clamp=clamp)
    named = [label.partition("\n")[2] for label in dict.fromkeys(compared_settings.compute(study.tables())["label"])]
    assert named == ["clamp 1e-06, KL from γ", "clamp 1e-06, KL from logits", "clamp 0.01, KL from logits"]


def test_choices_are_drawn_as_differences_from_the_default_paired_by_seed() -> None:
    study = SyntheticStudy()
    for initialisation, shift in (("xavier", 1.0), ("kaiming", 0.0)):
        for seed in range(3):
            study.add("vae", 8, seed, initialisation=initialisation)
            study.trials[-1]["test/elbo"] = -100.0 - 10 * seed + shift * (1 + 0.1 * seed)
    frame = compared_settings.compute(study.tables())
    rows = frame[frame["panel"] == "test/elbo"].set_index("initialisation")
    assert rows["is_default"].to_dict() == {"kaiming": True, "xavier": False}
    assert rows.loc["xavier", "gain"] == pytest.approx(1.1)
    assert rows.loc["xavier", "gain_high"] == pytest.approx(1.1 + 4.302653 * 0.1 / 3**0.5)
    assert rows.loc["xavier", "gain_by_seed"] == "1 1.1 1.2"
    axes = make_axes(*compared_settings.FIGURE.shape(frame))
    compared_settings.plot(frame, axes)
    ax = axes[0, 0]
    dots = [item.get_offsets()[:, 0].tolist() for item in ax.collections if len(item.get_offsets()) == 3]
    assert dots == [pytest.approx([1, 1.1, 1.2])]
    assert [text.get_text() for text in ax.texts] == ["\N{MINUS SIGN}110.0"]  # what the default reached
    assert " ".join(ax.get_xlabel().split()) == "test ELBO less the default's (nats per image, higher is better)"
    assert compared_settings.find(frame).startswith("VAE, Xavier: test ELBO +1.10 (")


@pytest.mark.parametrize(
    ("seeds", "num_others", "is_sure"),
    [(2, 1, False), (3, 1, True), (3, 24, False)],
    ids=["two seeds", "three", "one of many"],
)
def test_the_largest_of_many_differences_is_sure_by_holm_and_never_over_two_seeds(
    seeds: int, num_others: int, is_sure: bool
) -> None:
    study = SyntheticStudy()
    for i in range(num_others + 1):  # the default, one choice that differs, and others like the default
        for seed in range(seeds):
            study.add("vae", 8, seed, hidden=DEFAULTS["hidden"] if i == 0 else f"[{i}, {i}]", network="mlp")
            shift = 1 + 0.1 * seed if i == 1 else (-1) ** (seed + i) * 0.3
            study.trials[-1]["test/elbo"] = -100.0 - 10 * seed + (shift if i else 0)
    frame = compared_settings.compute(study.tables())
    rows = frame[(frame["panel"] == "test/elbo") & ~frame["is_default"]]
    assert (rows["gain_low"] > 0).sum() == 1, "by its own interval it leaves zero, whatever the number of rows"
    found = compared_settings.find(frame)
    assert (
        found.startswith("VAE, hidden 2") if is_sure else found == "no difference from the default in test ELBO is sure"
    )


def test_the_defaults_are_those_of_the_settings() -> None:
    assert {name: DEFAULTS[name] for name in compared_settings.COMPARED} == {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in settings.DEFAULTS.items()
        if name in compared_settings.COMPARED
    }


def test_bounds_of_pixels_scaled_in_two_ways_are_not_compared() -> None:
    study = SyntheticStudy()
    for scaling in ("minmax", "unit_norm"):
        for seed in range(3):
            study.add("vae", 8, seed, pixel_scaling=scaling)
            study.trials[-1]["test/reconstruction_error"] = 0.2 + (scaling == "unit_norm") * 0.1 + 0.01 * seed
    frame = compared_settings.compute(study.tables())
    assert list(frame["panel"].unique()) == ["test/reconstruction_error"]
    assert list(frame["mean"]) == pytest.approx([0.21, 0.31])


def test_networks_are_compared_each_by_the_settings_that_it_has() -> None:
    study = SyntheticStudy()
    for hidden in ("[8, 8]", "[8]"):
        study.add("vae", 8, 0, network="mlp", hidden=hidden, architecture=None)
    study.add("vae", 8, 0, network="conv", hidden=None, architecture="burgess")
    labels = list(dict.fromkeys(compared_settings.compute(study.tables())["label"]))
    assert labels == ["VAE\nconv, burgess", "VAE\nhidden 8, mlp", "VAE\nhidden 2 \N{MULTIPLICATION SIGN} 8, mlp"]


def test_models_each_with_a_schedule_of_its_own_are_compared_by_their_names() -> None:
    study = SyntheticStudy()
    for model, rate in (("vsc_iclr", 1e-3), ("vsc_uai_code", 5e-4)):
        study.add(model, 8, 0, alpha=0.1, learning_rate=rate)
    assert set(compared_settings.compute(study.tables())["label"]) == {
        f"VSC (ICLR), {wording.ALPHA} = 0.1",
        f"VSC (UAI, code), {wording.ALPHA} = 0.1",
    }


def learning_rates(*rates: float, **changes: object) -> SyntheticStudy:
    study = SyntheticStudy()
    for rate in rates:
        for model, alpha in (("vae", float("nan")), ("vsc", 0.05)):
            for seed in range(3):
                study.add(model, 8, seed, alpha, learning_rate=rate, **changes)
                study.trials[-1]["test/elbo"] = -100.0 - seed + (rate == 5e-3) * (model == "vsc") * (2 + 0.1 * seed)
    return study


def test_learning_rates_of_a_grid_are_compared_with_the_default_one_of_each_model_and_prior() -> None:
    frame = compared_settings.compute(learning_rates(5e-3, 1e-3).tables())
    rows = frame[frame["panel"] == "test/elbo"].set_index(["model", "learning_rate"])
    assert rows["is_default"].to_dict() == {
        **{("vae", 1e-3): True, ("vae", 5e-3): False},
        **{("vsc", 1e-3): True, ("vsc", 5e-3): False},
    }
    assert rows.loc[("vsc", 5e-3), "gain"] == pytest.approx(2.1)
    assert compared_settings.find(frame).startswith("VSC, α = 0.05, learning rate 0.005: test ELBO +2.10")


def test_batch_sizes_are_named_and_without_the_default_the_first_is_compared_with() -> None:
    study = SyntheticStudy()
    for size in (64, 128):
        study.add("vae", 8, 0, batch_size=size)
    frame = compared_settings.compute(study.tables())
    rows = frame[frame["panel"] == "test/elbo"]
    assert rows["label"].tolist() == ["VAE\nbatch size 64", "VAE\nbatch size 128"]
    assert rows["is_default"].tolist() == [True, False]


def test_learning_rates_of_a_search_and_those_by_batch_size_are_left_to_figures_of_their_own() -> None:
    by_batch_size = learning_rates(1e-3, 5e-3)
    by_batch_size.trials += learning_rates(1e-3, 5e-3, batch_size=64).trials
    for study in (learning_rates(1e-3, 5e-3, sampler="random"), by_batch_size):
        with pytest.raises(NothingToDrawError, match=r"trials differ in none of .*, selector$"):
            compared_settings.compute(study.tables())


def test_a_study_of_other_settings_compares_none(quickstart: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="differ in none of"):
        compared_settings.compute(quickstart.tables())
