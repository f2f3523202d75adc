# ruff: noqa: RUF001  (a Greek letter, meant as one)

import numpy as np
import pandas as pd
import pytest

from analysis.drawing.style import series_colour
from analysis.figures.elbo_by_training_length import (
    FIGURE,
    compute,
    note,
    shape,
)
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy, falling


@pytest.fixture
def study() -> SyntheticStudy:
    """Lengths 10, 20 and 40; two seeds. The VAE is at its plateau from epoch 8 or 12, the VSC not yet."""
    made = SyntheticStudy()
    for latent_dim in (8, 16):
        for seed in (0, 1):
            for epochs in (40, 10, 20):
                made.add("vae", latent_dim, seed, epochs=epochs)
                made.history[-1]["test/loss"] = falling(8 + 4 * seed, epochs)
                made.trials[-1]["test/elbo"] = -200.0 + epochs + 2 * seed
                made.add("vsc", latent_dim, seed, alpha=0.2, epochs=epochs)
                made.history[-1]["test/loss"] = falling(40, epochs)
                made.trials[-1]["test/elbo"] = -300.0 + epochs + 2 * seed
    return made


def compute_of(study: SyntheticStudy) -> pd.DataFrame:
    return compute(study.tables())


def draw_axes(study: SyntheticStudy) -> np.ndarray:
    return draw(FIGURE, study.tables())[1]


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def stars(ax) -> list[tuple[float, float]]:
    return [
        (pytest.approx(line.get_xdata()[0], rel=0.02), line.get_ydata()[0])
        for line in ax.lines
        if line.get_marker() == "*"
    ]


def of(frame: pd.DataFrame, series: str, latent_dim: int = 8) -> pd.DataFrame:
    return frame[(frame["series"] == series) & (frame["latent_dim"] == latent_dim)]


def test_mean_and_interval_at_each_length_are_those_computed_by_hand(study: SyntheticStudy) -> None:
    vae = of(compute_of(study), "VAE")
    assert list(vae["epochs"]) == [10, 20, 40]
    assert list(vae["mean"]) == [-189, -179, -159]
    assert list(vae["high"] - vae["mean"]) == pytest.approx(3 * [12.7062], abs=1e-3)  # t(0.975, 1), s / sqrt(2) = 1


def test_what_was_gained_is_paired_by_seed(study: SyntheticStudy) -> None:
    study.trials[0]["test/elbo"] += 1  # of the first seed after 40 epochs
    vae = of(compute_of(study), "VAE")
    assert vae["gain"].tolist() == pytest.approx([0, 10, 30.5])
    assert (vae["gain_high"] - vae["gain"]).tolist() == pytest.approx([0, 0, 12.7062 / 2], abs=1e-3)
    assert vae["gain_by_seed"].tolist() == ["0 0", "10 10", "31 30"]
    assert set(vae["first_epochs"]) == {10}


def test_the_plateau_is_that_of_the_last_of_the_seeds_of_the_longest_trainings(study: SyntheticStudy) -> None:
    frame = compute_of(study)
    assert set(of(frame, "VAE")["plateau_min"]) == {8}
    assert set(of(frame, "VAE")["plateau_max"]) == {12}
    assert set(of(frame, "VAE")["plateau_n"]) == {2}
    assert of(frame, "VSC, α = 0.2")["plateau_max"].isna().all()


def test_where_images_are_held_out_the_plateau_is_that_of_the_validation_elbo() -> None:
    study = SyntheticStudy()
    for epochs in (20, 40):
        study.add("vae", 8, 0, epochs=epochs, num_validation=300)
        study.history[-1]["val/elbo"] = [-loss for loss in falling(7, epochs)]
    assert set(compute_of(study)["plateau_max"]) == {7}


def test_seeds_that_have_not_come_to_the_greatest_length_do_not_count_for_the_plateau(study: SyntheticStudy) -> None:
    study.add("vae", 8, 2, epochs=20)
    study.history[-1]["test/loss"] = falling(14, 20)
    vae = of(compute_of(study), "VAE")
    assert set(vae["plateau_max"]) == {12}
    assert list(vae["n"]) == [2, 3, 2]


def test_one_panel_per_latent_dimension_and_one_line_per_series(study: SyntheticStudy) -> None:
    axes = draw_axes(study)
    assert axes.shape == (2, 1)
    assert [ax.get_title() for ax in axes[:, 0]] == ["latent dimension 8", "latent dimension 16"]
    lines = [line for line in axes[0, 0].lines if line.get_marker() != "*"]
    lines = [line for line in lines if line.get_label()[0] != "_"]
    assert lines[0].get_ydata().tolist() == [0, 10, 30]
    assert lines[0].get_xdata() == pytest.approx([10, 20, 40], rel=0.02)  # beside the other's
    assert [line.get_color() for line in lines] == [series_colour("vae", np.nan), series_colour("vsc", 0.2)]


def test_a_star_marks_the_plateau_on_the_line_and_the_legend_tells_the_epoch(study: SyntheticStudy) -> None:
    for trial, history in zip(study.trials, study.history, strict=True):
        if trial["model"] == "vae" and trial["epochs"] == 40:
            history["test/loss"] = falling(20, 40)
    ax = draw_axes(study)[0, 0]
    assert stars(ax) == [(20, 10)]
    assert labels(ax) == [
        "VAE (2 seeds), −189.0 after 10 epochs\nwithin 1 nat of its plateau from epoch 20",
        "VSC, α = 0.2 (2 seeds), −289.0 after 10 epochs\nnot yet within 1 nat of a plateau",
        "the first length within 1 nat of its plateau",
    ]


def test_a_star_stands_where_something_was_measured_not_between_two_lengths(study: SyntheticStudy) -> None:
    ax = draw_axes(study)[0, 0]
    study.history[0]["test/loss"] = falling(9, 40)
    study.history[6]["test/loss"] = falling(9, 40)
    assert stars(draw_axes(study)[0, 0]) == [(10, 0)]
    assert stars(ax) == [(20, 10)], "after 10 epochs one of the two seeds, which settle after 8 and 12, still falls"


def test_seeds_without_a_plateau_are_told(study: SyntheticStudy) -> None:
    study.history[0]["test/loss"] = falling(40, 40)
    ax = draw_axes(study)[0, 0]
    assert (
        labels(ax)[0]
        == "VAE (2 seeds), −189.0 after 10 epochs\nwithin 1 nat of its plateau from epoch 12 (1 of 2 seeds)"
    )
    assert stars(ax) == [], "the other seed is still falling"


def test_axes_have_names_and_units_and_a_tick_at_each_length(study: SyntheticStudy) -> None:
    axes = draw_axes(study)
    assert axes[-1, 0].get_xlabel() == "epochs of training"
    assert {ax.get_ylabel() for ax in axes[:, 0]} == {"test ELBO gained since\nepoch 10 (nats per image)"}
    assert {ax.get_xscale() for ax in axes[:, 0]} == {"log"}
    assert [tick.get_text() for tick in axes[0, 0].get_xticklabels()] == ["10", "20", "40"]


def test_of_many_lengths_the_ticks_that_have_room_are_kept() -> None:
    study = SyntheticStudy()
    for epochs in range(5, 101, 5):
        study.add("vae", 8, 0, epochs=epochs)
    ticks = draw_axes(study)[0, 0].get_xticks()
    assert len(ticks) < 11
    assert {5, 100} <= set(ticks)
    assert np.diff(np.log(np.sort(ticks))).min() > 0.29


def test_of_many_latent_dimensions_three_are_shown_and_the_caption_says_so() -> None:
    study = SyntheticStudy()
    for epochs in (5, 10):
        study.grid([0.2], [2, 4, 8, 16, 32], seeds=2, epochs=epochs)
    frame = compute_of(study)
    assert sorted(frame["latent_dim"].unique()) == [2, 8, 32]
    assert shape(frame) == (3, 1)
    assert "dots: each seed. Paired by seed. 3 of 5 latent dimensions are shown." in note(frame)


def test_too_many_configurations_are_drawn_one_training_each() -> None:
    study = SyntheticStudy()
    for rate in np.linspace(1e-4, 1e-2, 12):
        for epochs in (5, 10):
            study.add("vae", 8, 0, epochs=epochs, learning_rate=float(rate))
    ax = draw_axes(study)[0, 0]
    assert len(ax.lines) == 12
    assert {len(line.get_xdata()) for line in ax.lines} == {2}
    assert labels(ax) == ["VAE (24 trials)"]


@pytest.mark.parametrize("different", [{}, {"latent_dim": 16}, {"batch_size": 64}])
def test_lengths_of_unlike_configurations_are_no_line(different: dict[str, int], one_trial: SyntheticStudy) -> None:
    one_trial.add(**{"model": "vsc", "latent_dim": 8, "seed": 1, "alpha": 0.2} | different)
    if different:
        one_trial.trials[-1]["epochs"] = 99
    with pytest.raises(NothingToDrawError, match="no configuration has trained for two or more lengths"):
        compute_of(one_trial)


def test_trials_that_did_not_finish_make_no_length(study: SyntheticStudy) -> None:
    study.add("vae", 8, 0, epochs=80, status="running")
    assert compute_of(study)["epochs"].max() == 40


def test_one_seed_has_no_interval_and_the_caption_says_so() -> None:
    study = SyntheticStudy()
    for epochs in (5, 10):
        study.add("vae", 8, 0, epochs=epochs)
    frame = compute_of(study)
    assert frame["low"].isna().all()
    assert note(frame).startswith("One seed: no interval.")
