"""Lines that are named at their ends, where there is room."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis.drawing.labels import SIZE, name_lines
from tests.analysis.axes import make_axes


def draw(ends: dict[str, float]) -> Axes:
    ax: Axes = make_axes()[0, 0]
    for name, end in ends.items():
        ax.plot([1, 2, 3], [0, 5, end], label=name)
    ax.set_ylim(0, 10)
    name_lines(ax)
    return ax


def heights(ax: Axes) -> dict[str, float]:
    """Where labels stand, in points from the bottom of a panel of known height."""
    height = ax.get_position().height * ax.figure.get_figheight() * 72
    return {text.get_text(): text.xy[1] / 10 * height + text.get_position()[1] for text in ax.texts}


def test_each_name_stands_at_the_end_of_its_line_without_the_number_of_seeds() -> None:
    ax = draw({"low (3 seeds)": 1, "high (3 seeds)": 9})
    assert ax.get_legend() is None
    assert {text.get_text(): (text.xy, text.get_position()) for text in ax.texts} == {
        "low": ((1.0, 1), (6, pytest.approx(0))),
        "high": ((1.0, 9), (6, pytest.approx(0))),
    }


def test_numbers_of_seeds_that_differ_are_told() -> None:
    ax = draw({"low (2 seeds)": 1, "high (3 seeds)": 9})
    assert [text.get_text() for text in ax.texts] == ["low (2 seeds)", "high (3 seeds)"]


def test_names_of_lines_that_end_close_to_each_other_part() -> None:
    at = sorted(heights(draw({"a": 5.0, "b": 5.1, "c": 5.05})).values())
    assert np.diff(at).min() >= SIZE


def test_where_too_many_end_together_there_is_a_legend() -> None:
    ax = draw({str(i): 5 + 0.01 * i for i in range(12)})
    assert not ax.texts
    assert len(ax.get_legend().get_texts()) == 12


def test_no_name_stands_farther_from_its_line_than_it_is_high() -> None:
    """Of lines that end together the first and the last name would move by one and a half of their heights."""
    ax = draw({str(i): 5 + 0.001 * i for i in range(4)})
    assert not ax.texts
    assert len(ax.get_legend().get_texts()) == 4


def test_points_without_a_line_keep_a_legend_of_their_own() -> None:
    ax: Axes = make_axes()[0, 0]
    ax.plot([1, 2], [1, 2], label="line")
    ax.plot([1, 2], [1, 2], "D", label="points")
    name_lines(ax)
    assert [text.get_text() for text in ax.texts] == ["line"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["points"]
