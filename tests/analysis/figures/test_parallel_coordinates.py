from typing import Any

import pytest

from analysis.figures.parallel_coordinates import compute, note, plot
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy


def draw(study: SyntheticStudy) -> tuple[Any, Any]:
    frame = compute(study.tables())
    ax = make_axes()[0, 0]
    plot(frame, ax)
    return frame, ax


def three_trials(**changes: object) -> SyntheticStudy:
    study = SyntheticStudy()
    study.add_searched(-30.0, learning_rate=0.01, hidden="[400]", **changes)
    study.add_searched(-20.0, learning_rate=0.001, hidden="[200]", **changes)
    study.add_searched(-10.0, learning_rate=0.0001, hidden="[400]", **{"status": "stopped"} | changes)
    return study


def lines_of(ax: Any) -> tuple[list[Any], list[Any]]:
    """The heights of the faint lines, and those of the best."""
    faint, best = (item for item in ax.collections if len(item.get_segments()[0]) > 2)
    return tuple([line[:, 1].tolist() for line in item.get_segments()] for item in (faint, best))


def test_a_line_goes_through_a_trials_settings_and_its_objective() -> None:
    frame, ax = draw(three_trials())
    assert list(frame["axis"].unique()) == ["hidden", "learning_rate", "val/elbo"]
    faint, best = lines_of(ax)
    assert faint == [pytest.approx([1, 1, 0]), pytest.approx([1, 0, 1])]  # the worst first, so that it lies below
    assert best == [pytest.approx([0, 0.5, 0.5])]


def test_the_best_are_of_the_finished_trials() -> None:
    frame, _ = draw(three_trials())
    assert set(frame[frame["is_best"]]["trial_id"]) == {"t00001"}
    assert "the best 1 in full" in note(frame)


def test_what_breaks_a_constraint_is_not_the_best() -> None:
    study = three_trials(violates=None)
    study.trials[1]["violates"] = "val/rate <= 9"
    frame, _ = draw(study)
    assert set(frame[frame["is_best"]]["trial_id"]) == {"t00000"}
    for row in study.trials:
        row["violates"] = "val/rate <= 9"
    frame, _ = draw(study)
    assert not frame["is_best"].any()


@pytest.mark.parametrize(("directions", "best"), [('["maximize"]', "t00002"), ('["minimize"]', "t00000")])
def test_the_best_is_so_by_the_direction_of_the_search(directions: str, best: str) -> None:
    frame, _ = draw(three_trials(directions=directions, status="finished"))
    assert set(frame[frame["is_best"]]["trial_id"]) == {best}


@pytest.mark.parametrize(("num", "num_best"), [(1, 1), (40, 4), (400, 20)])
def test_a_tenth_is_in_full_but_no_more_than_twenty(num: int, num_best: int) -> None:
    study = SyntheticStudy()
    for i in range(num):
        study.add_searched(-i, learning_rate=0.001 + i / 1e6)
    study.add_searched(-1000, learning_rate=1.0)
    frame = compute(study.tables())
    assert frame[frame["is_best"]]["trial_id"].nunique() == num_best


def test_better_is_darker_whichever_way() -> None:
    for directions, best in (('["maximize"]', -10.0), ('["minimize"]', -30.0)):
        frame, ax = draw(three_trials(directions=directions, status="finished"))
        assert frame[frame["is_best"]]["goal"].iloc[0] == best
        faint, strong = (item for item in ax.collections if len(item.get_segments()[0]) > 2)
        assert strong.get_colors()[0][:3].sum() < min(colour[:3].sum() for colour in faint.get_colors())
        assert strong.get_alpha() is None
        assert faint.get_alpha() <= 0.5


def test_axes_are_named_with_units() -> None:
    _, ax = draw(three_trials())
    texts = [text.get_text() for text in ax.texts]
    assert "learning rate" in texts
    assert "validation ELBO\n(nats per image, higher is\nbetter)" in texts
    assert ax.figure.axes == [ax]  # the objective's axis is the scale of the colours


def test_models_without_a_setting_pass_below_and_the_note_says_so(random_search: SyntheticStudy) -> None:
    frame, ax = draw(random_search)
    assert "none" in [text.get_text() for text in ax.texts]
    assert "lines pass below the axis" in note(frame)


def test_many_lines_become_pixels() -> None:
    study = SyntheticStudy()
    study.random_search(100)
    _, ax = draw(study)
    faint, best = (item for item in ax.collections if len(item.get_segments()[0]) > 2)
    assert faint.get_rasterized()
    assert not best.get_rasterized()
