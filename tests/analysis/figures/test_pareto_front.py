# ruff: noqa: RUF001  (a Greek letter, meant as one)
import json
import sys

import numpy as np
import pandas as pd
import pytest

from analysis.figures.pareto_front import FIGURE, compute, note
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy

# Rate and distortion: the first three are on the front, the others are beaten by the second.
POINTS = [(10.0, 100.0), (20.0, 80.0), (40.0, 70.0), (20.0, 90.0), (45.0, 85.0)]


def search(objectives: dict[str, str], points: list[tuple[float, ...]], **changes: object) -> SyntheticStudy:
    """One trial per point; objectives: the direction of each metric."""
    study = SyntheticStudy()
    for i, point in enumerate(points):
        study.add(
            *("vsc", 8, 0, 0.2),
            **{"beta": float(i + 1), "sampler": "nsga2", "epochs": 3} | changes,
            objectives=json.dumps(list(objectives)),
            directions=json.dumps(list(objectives.values())),
        )
        for name, value in zip(objectives, point, strict=True):
            if "/" in name:
                study.history[-1][name] = value
            else:
                study.trials[-1][name] = value
    return study


@pytest.fixture
def rate_distortion() -> SyntheticStudy:
    return search({"val/rate": "minimize", "val/distortion": "minimize"}, POINTS)


def compute_of(study: SyntheticStudy) -> pd.DataFrame:
    return compute(study.tables())


def draw_axes(study: SyntheticStudy) -> np.ndarray:
    return draw(FIGURE, study.tables())[1]


def front_line(ax):
    return next(line for line in ax.lines if line.get_label() == "front")


def test_the_front_is_what_no_other_trial_beats(rate_distortion: SyntheticStudy) -> None:
    frame = compute_of(rate_distortion)
    assert list(zip(frame["y"], frame["x"], strict=True)) == POINTS
    assert list(frame["is_best"]) == [True, True, True, False, False]


def test_directions_are_heeded() -> None:
    points = [(-100.0, 50.0), (-90.0, 70.0), (-95.0, 80.0), (-101.0, 50.0)]
    frame = compute_of(search({"val/elbo": "maximize", "train_seconds": "minimize"}, points))
    assert list(frame["is_best"]) == [True, True, False, False]


def test_equals_are_on_the_front_together() -> None:
    frame = compute_of(search({"val/rate": "minimize", "val/distortion": "minimize"}, [(1, 2), (1, 2), (2, 2)]))
    assert list(frame["is_best"]) == [True, True, False]


def test_only_finished_trials_with_every_objective_are_shown(rate_distortion: SyntheticStudy) -> None:
    rate_distortion.trials[0]["status"] = "stopped"
    rate_distortion.history[1]["val/rate"] = np.nan
    frame = compute_of(rate_distortion)
    assert list(frame["trial_id"]) == ["t00002", "t00003", "t00004"]
    assert list(frame["is_best"]) == [True, True, False]  # of those that are left


def test_of_three_objectives_the_first_stands_against_each_other() -> None:
    names = {"val/elbo": "maximize", "train_seconds": "minimize", "val/nonzero_fraction": "minimize"}
    study = search(names, [(-100, 50, 0.5), (-90, 40, 0.6), (-110, 30, 0.7)])
    frame = compute_of(study)
    assert frame["is_best"].to_numpy().reshape(2, 3).tolist() == [[False, True, True], [True, True, False]]
    axes = draw_axes(study)
    assert axes.shape == (1, 2)
    assert axes[0, 0].get_ylabel() == "validation ELBO (nats per image, higher is better)"
    assert [ax.get_xlabel() for ax in axes[0]] == [
        "training time (seconds, lower is better)",
        "validation non-zero fraction of the code (lower is better)",
    ]


def test_the_front_is_a_step_line_around_what_was_reached(rate_distortion: SyntheticStudy) -> None:
    ax = draw_axes(rate_distortion)[0, 0]
    line = front_line(ax)
    assert line.get_xydata().tolist() == [[70, 40], [80, 20], [100, 10]]
    assert line.get_drawstyle() == "steps-post"  # at a distortion of 75 the rate to be had is still 40
    points = np.concatenate([item.get_offsets() for item in ax.collections])
    assert sorted(map(tuple, points)) == sorted((x, y) for y, x in POINTS)


def test_where_x_is_maximised_the_steps_go_the_other_way() -> None:
    study = search({"val/rate": "minimize", "val/elbo": "maximize"}, [(10.0, -100.0), (20.0, -90.0)])
    assert front_line(draw_axes(study)[0, 0]).get_drawstyle() == "steps-pre"


def test_trials_of_the_front_are_named_by_the_settings_that_tell_them_apart(rate_distortion: SyntheticStudy) -> None:
    assert list(compute_of(rate_distortion)["label"]) == ["β 1", "β 2", "β 3", "β 4", "β 5"]
    rate_distortion.trials[1]["alpha"] = 0.5
    assert compute_of(rate_distortion)["label"][1] == "β 2, α 0.5"
    ax = draw_axes(rate_distortion)[0, 0]
    named = [text.get_text() for text in ax.texts if "ELBO" not in text.get_text()]
    assert named == ["β 3, α 0.2", "β 1, α 0.2", "β 2, α 0.5"]


def test_labels_of_a_crowded_front_do_not_overlap() -> None:
    crowd = [(10 + 0.02 * i, 80 - 0.02 * i) for i in range(30)]
    points = [(5.0, 100.0), *crowd, (40.0, 40.0), (60.0, 20.0)]
    ax = draw_axes(search({"val/rate": "minimize", "val/distortion": "minimize"}, points))[0, 0]
    boxes = [text.get_window_extent() for text in ax.texts if "ELBO" not in text.get_text()]
    assert 3 <= len(boxes) <= 7
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_rate_against_distortion_has_lines_of_equal_elbo(rate_distortion: SyntheticStudy) -> None:
    assert any("ELBO" in text.get_text() for text in draw_axes(rate_distortion)[0, 0].texts)
    other = search({"val/elbo": "maximize", "train_seconds": "minimize"}, [(-100.0, 5.0), (-90.0, 7.0)])
    assert not any("ELBO" in text.get_text() for text in draw_axes(other)[0, 0].texts)


def test_a_trial_far_off_does_not_set_the_scale() -> None:
    study = search({"val/rate": "minimize", "val/distortion": "minimize"}, [*POINTS, (1e6, 95.0)])
    ax = draw_axes(study)[0, 0]
    assert ax.get_ylim()[1] < 100
    assert any("off the y axis" in text.get_text() for text in ax.texts)


def test_the_caption_counts_the_front(rate_distortion: SyntheticStudy) -> None:
    assert note(compute_of(rate_distortion)) == (
        "On the front, where no other trial is as good in both and better in one: "
        "3 of 5 trials in validation rate and validation distortion."
    )


def test_a_study_of_one_objective_says_so_without_loading_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(NothingToDrawError, match="the study has one objective"):
        compute_of(search({"val/elbo": "maximize"}, [(1.0,)]))


def test_a_study_in_which_nothing_has_finished_says_so(rate_distortion: SyntheticStudy) -> None:
    for trial in rate_distortion.trials:
        trial["status"] = "running"
    with pytest.raises(NothingToDrawError, match="no finished trial has a value of every objective"):
        compute_of(rate_distortion)


def test_optuna_says_nothing_and_keeps_its_verbosity(
    rate_distortion: SyntheticStudy, capfd: pytest.CaptureFixture[str]
) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    compute_of(rate_distortion)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before
