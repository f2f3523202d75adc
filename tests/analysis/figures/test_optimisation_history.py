import numpy as np
import pytest

from analysis.drawing.style import MODEL_COLOURS
from analysis.figures.optimisation_history import (
    FIGURE,
    compute,
    find,
    note,
)
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy


def history_of(study: SyntheticStudy):
    return compute(study.tables())


def draw_axes(study: SyntheticStudy) -> np.ndarray:
    return draw(FIGURE, study.tables())[1]


def five_trials() -> SyntheticStudy:
    """What a VAE and a VSC reached in turn: -30, -10 (stopped), diverged, -40, -20."""
    study = SyntheticStudy()
    study.add_searched(-30.0)
    study.add_searched(-10.0, "vsc", 0.2, status="stopped")
    study.add_searched(0.0, status="diverged")
    study.add_searched(-40.0, "vsc", 0.1)
    study.add_searched(-20.0)
    return study


def test_the_best_so_far_is_that_of_the_finished_trials() -> None:
    frame = history_of(five_trials())
    assert list(frame["number"]) == [1, 2, 4, 5]
    assert list(frame["value"]) == [-30, -10, -40, -20]
    assert list(frame["best"]) == [-30, -30, -30, -20]


def test_what_breaks_a_constraint_is_a_cross_and_never_the_best() -> None:
    study = five_trials()
    study.add_searched(-5.0, violates="val/rate <= 9")
    frame = history_of(study)
    assert list(frame["value"]) == [-30, -10, -40, -20, -5]
    assert list(frame["best"]) == [-30, -30, -30, -20, -20]
    assert "Crosses break a constraint" in note(frame)
    assert "Crosses" not in note(history_of(five_trials()))
    labels = draw_axes(study)[0, 0].get_legend_handles_labels()[1]
    assert "VAE, breaks a constraint" in labels


def test_trials_at_the_end_that_failed_are_counted_with_the_others() -> None:
    study = five_trials()
    study.add_searched(0.0, status="failed")
    assert find(history_of(study)).endswith("is trial 5 of 6")


def test_where_none_has_finished_the_best_is_that_of_the_stopped() -> None:
    study = SyntheticStudy()
    for value in (-30.0, -10.0, -20.0):
        study.add_searched(value, status="stopped")
    frame = history_of(study)
    assert list(frame["best"]) == [-30, -10, -10]
    assert "stopped trials" in note(frame)


def test_what_is_minimised_falls() -> None:
    study = SyntheticStudy()
    for value in (3.0, 5.0, 1.0):
        study.add_searched(value, directions='["minimize"]')
    assert list(history_of(study)["best"]) == [3, 3, 1]


def test_the_line_and_the_points_are_those_of_the_frame() -> None:
    ax = draw_axes(five_trials())[0, 0]
    (line,) = ax.lines
    assert line.get_drawstyle() == "steps-post"
    assert line.get_xydata().tolist() == [[1, -30], [2, -30], [4, -30], [5, -20], [5, -20]]
    points = {item.get_label(): item for item in ax.collections}
    assert points["VAE, finished"].get_offsets().tolist() == [[1, -30], [5, -20]]
    assert points["VSC, stopped early"].get_offsets().tolist() == [[2, -10]]


def test_finished_trials_are_filled_and_stopped_ones_hollow() -> None:
    points = {item.get_label(): item for item in draw_axes(five_trials())[0, 0].collections}
    assert len(points["VSC, finished"].get_facecolor()) == 1
    assert len(points["VSC, stopped early"].get_facecolor()) == 0


def test_models_have_their_colours_and_the_axes_units() -> None:
    ax = draw_axes(five_trials())[0, 0]
    points = {item.get_label(): item for item in ax.collections}
    red, green, blue, _ = points["VSC, finished"].get_facecolor()[0]
    assert (round(255 * red), round(255 * green), round(255 * blue)) == tuple(bytes.fromhex(MODEL_COLOURS["vsc"][1:]))
    assert ax.get_ylabel() == "validation ELBO\n(nats per image, higher is better)"
    assert ax.get_xlabel() == "trial, in the order of the search"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("VAE, finished", "VSC, finished", "VSC, stopped early", "best so far")
    ]


def test_one_panel_per_objective() -> None:
    study = SyntheticStudy()
    study.random_search(
        5, objectives='["val/rate", "val/distortion"]', directions='["minimize", "minimize"]', sampler="nsga2"
    )
    axes = draw_axes(study)
    assert axes.shape == (2, 1)
    assert [ax.get_ylabel().split("\n")[0] for ax in axes[:, 0]] == ["validation rate", "validation distortion"]


def test_a_trial_far_off_does_not_set_the_scale_and_is_told(random_search: SyntheticStudy) -> None:
    random_search.history[3]["val/elbo"] -= 1e6
    ax = draw_axes(random_search)[0, 0]
    assert ax.get_ylim()[0] > -1000
    assert [text.get_text() for text in ax.texts] == ["1 value off the y axis, as far as \N{MINUS SIGN}1e+06"]


@pytest.mark.parametrize("num", [1, 2])
def test_a_search_that_has_just_begun_is_drawn(num: int) -> None:
    study = SyntheticStudy()
    study.random_search(num)
    ax = draw_axes(study)[0, 0]
    assert ax.get_xlim()[0] < 1 <= num < ax.get_xlim()[1]
