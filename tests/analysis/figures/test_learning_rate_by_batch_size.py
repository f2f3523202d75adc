# ruff: noqa: RUF001  (a Greek letter, meant as one)
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from analysis.figures.learning_rate_by_batch_size import (
    FIGURE,
    best_cell,
    compute,
    note,
)
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy

NAN = float("nan")
VALUES = {(16, 1e-3): -100.0, (16, 1e-2): -130.0, (64, 1e-3): -104.0, (64, 1e-2): -102.0}


def add(study: SyntheticStudy, value: float, **settings: Any) -> None:
    """One trial of three epochs whose test ELBO and last validation ELBO are `value`."""
    study.add(**{"model": "vae", "latent_dim": 8, "seed": 0, "epochs": 3} | settings)
    if study.trials[-1]["status"] == "finished":
        study.trials[-1]["test/elbo"] = value
    if settings.get("num_validation"):
        study.history[-1]["val/elbo"] = [-500.0, -400.0, value]


def add_grid(study: SyntheticStudy, **settings: Any) -> None:
    """Two seeds in each cell, 1 nat below and above VALUES."""
    for (batch_size, learning_rate), value in VALUES.items():
        for seed in (0, 1):
            place = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
            add(study, value - 1 + 2 * seed, **place | settings)


@pytest.fixture
def study() -> SyntheticStudy:
    made = SyntheticStudy()
    add_grid(made)
    return made


def compute_of(study: SyntheticStudy) -> pd.DataFrame:
    return compute(study.tables())


def draw_axes(study: SyntheticStudy) -> np.ndarray:
    return draw(FIGURE, study.tables())[1]


def by_cell(frame: pd.DataFrame, column: str) -> dict[tuple[float, float], Any]:
    return frame.set_index(["batch_size", "learning_rate"])[column].to_dict()


def texts(ax) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in ax.texts}


def framed(ax) -> list[tuple[float, float]]:
    """The middles of the cells that have a thick frame."""
    return [
        tuple(patch.get_center().round(6))
        for patch in ax.patches
        if isinstance(patch, Rectangle) and patch.get_linewidth() >= 3
    ]


def test_a_cell_is_the_mean_over_seeds_of_the_test_elbo_where_nothing_steers(study: SyntheticStudy) -> None:
    frame = compute_of(study)
    assert by_cell(frame, "value") == pytest.approx(VALUES)
    assert set(frame["n"]) == {2}
    assert set(frame["metric"]) == {"test/elbo"}


def test_a_cell_is_the_last_value_of_the_objective_where_there_is_one() -> None:
    study = SyntheticStudy()
    add_grid(study, num_validation=300, objectives='["val/elbo"]', directions='["maximize"]')
    frame = compute_of(study)
    assert by_cell(frame, "value") == pytest.approx(VALUES)
    assert set(frame["metric"]) == {"val/elbo"}


def test_cells_without_a_value_say_why(study: SyntheticStudy) -> None:
    add(study, NAN, batch_size=16, learning_rate=0.1, status="diverged")
    add(study, NAN, batch_size=64, learning_rate=0.1, status="failed", seed=0)
    add(study, NAN, batch_size=64, learning_rate=0.1, status="diverged", seed=1)
    add(study, NAN, batch_size=16, learning_rate=0.2, status="running")
    states = by_cell(compute_of(study), "state")
    assert [states[16, 0.1], states[64, 0.1], states[16, 0.2], states[64, 0.2]] == [
        *("diverged", "diverged"),
        *("running", "missing"),
    ]


def test_each_configuration_is_a_panel_named_by_what_varies(study: SyntheticStudy) -> None:
    add_grid(study, model="vsc", alpha=0.2)
    axes = draw_axes(study)
    assert axes.shape == (1, 2)
    assert [ax.get_title() for ax in axes[0]] == ["VAE", "VSC, α = 0.2"]


def test_rows_are_batch_sizes_and_columns_learning_rates_both_increasing(study: SyntheticStudy) -> None:
    ax = draw_axes(study)[0, 0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.001", "0.01"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["16", "64"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    assert ax.images[0].get_array().tolist() == [[-100, -130], [-104, -102]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "batch size (images)")


def test_the_value_stands_in_each_cell_and_the_best_is_framed(study: SyntheticStudy) -> None:
    ax = draw_axes(study)[0, 0]
    assert texts(ax) == {(0, 0): "−100.0", (1, 0): "−130.0", (0, 1): "−104.0", (1, 1): "−102.0"}
    assert framed(ax) == [(0, 0)]


def test_the_best_of_what_is_minimised_is_the_lowest() -> None:
    study = SyntheticStudy()
    add_grid(study, num_validation=300, objectives='["val/elbo"]', directions='["minimize"]')
    best = best_cell(compute_of(study))
    assert (best["batch_size"], best["learning_rate"]) == (16, 1e-2)


def test_a_cell_in_which_a_seed_diverged_is_not_the_best_and_says_how_many_did_not(study: SyntheticStudy) -> None:
    study.trials[0] |= {"status": "diverged", "test/elbo": NAN}
    ax = draw_axes(study)[0, 0]
    assert texts(ax)[0, 0] == "−99.0\n(1 of 2)"
    assert framed(ax) == [(1, 1)]


def test_a_cell_without_a_value_is_hatched(study: SyntheticStudy) -> None:
    study.trials = [row for row in study.trials if (row["batch_size"], row["learning_rate"]) != (64, 1e-2)]
    add(study, NAN, batch_size=64, learning_rate=1e-2, status="diverged")
    ax = draw_axes(study)[0, 0]
    (hatched,) = [patch for patch in ax.patches if patch.get_hatch()]
    assert hatched.get_center().tolist() == [1, 1]
    assert texts(ax)[1, 1] == "diverged"


def test_a_configuration_that_always_diverged_is_hatched_all_over(study: SyntheticStudy) -> None:
    add_grid(study, latent_dim=4, status="diverged")
    ax, other = draw_axes(study)[0]
    assert [len([patch for patch in each.patches if patch.get_hatch()]) for each in (ax, other)] == [4, 0]
    assert set(texts(ax).values()) == {"diverged"}
    assert framed(ax) == []


def test_the_text_stands_out_from_its_cell(study: SyntheticStudy) -> None:
    ax = draw_axes(study)[0, 0]
    colours = {text.get_position(): to_rgb(text.get_color()) for text in ax.texts}
    assert colours[0, 0] == (0, 0, 0)  # the best cell is light
    assert colours[1, 0] == (1, 1, 1)  # the worst is dark


def test_a_cell_that_nearly_diverged_does_not_set_the_colours(study: SyntheticStudy) -> None:
    study.trials[2]["test/elbo"] = study.trials[3]["test/elbo"] = -1e6
    ax = draw_axes(study)[0, 0]
    assert ax.images[0].norm.vmin > -200
    assert texts(ax)[1, 0] == "−1e+06"


def test_of_many_configurations_six_are_drawn_and_the_caption_says_so() -> None:
    study = SyntheticStudy()
    for latent_dim in range(2, 18, 2):
        add_grid(study, latent_dim=latent_dim)
    axes = draw_axes(study)
    assert axes.shape == (2, 3)
    assert axes[0, 0].get_title() == "VAE, latent dimension = 2"
    assert axes[1, 2].get_title() == "VAE, latent dimension = 16"
    frame = compute_of(study)
    assert frame["panel"].nunique() == 8
    assert note(frame).endswith("6 of 8 configurations are shown.")


def test_the_caption_names_the_metric_with_its_unit(study: SyntheticStudy) -> None:
    text = note(compute_of(study))
    assert text.startswith("Each cell: mean over seeds of the test ELBO (nats per image, higher is better).")
    assert "configurations" not in text


def test_panels_that_are_not_needed_stay_empty() -> None:
    study = SyntheticStudy()
    for latent_dim in (2, 4, 8, 16, 32):
        add_grid(study, latent_dim=latent_dim)
    assert [ax.get_visible() for ax in draw_axes(study).flat] == [*[True] * 5, False]


@pytest.mark.parametrize(
    "places",
    [
        [(16, 1e-3), (64, 1e-3)],
        [(16, 1e-3), (64, 1e-2)],
        [(16, 1e-3), (16, 1e-2), (64, 1e-2)],
    ],
    ids=["one rate", "a diagonal", "a corner"],
)
def test_fewer_than_two_by_two_are_no_grid(places: list[tuple[int, float]]) -> None:
    study = SyntheticStudy()
    for batch_size, learning_rate in places:
        add(study, -100, batch_size=batch_size, learning_rate=learning_rate)
    with pytest.raises(NothingToDrawError, match="the learning rates and batch sizes form no grid"):
        compute_of(study)


def test_a_configuration_with_one_cell_does_not_join_the_grids_of_others(study: SyntheticStudy) -> None:
    add(study, -90.0, latent_dim=4)
    frame = compute_of(study)
    assert set(frame["panel"]) == {0}
    assert frame["value"].max() == -100


def test_a_search_has_no_grid(random_search: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="form no grid"):
        compute_of(random_search)


@pytest.mark.parametrize("is_measured", [True, False])
def test_a_grid_in_which_nothing_has_finished_is_a_reason(study: SyntheticStudy, is_measured: bool) -> None:
    for row in study.trials:
        row["status"] = "running"
        if not is_measured:  # then the table has no such column
            del row["test/elbo"]
    with pytest.raises(NothingToDrawError, match="no trial of the grid has a value of test/elbo"):
        compute_of(study)
