import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.drawing.lines import far_note, fit_to_data, leave_out_the_far, scale_accuracy

FRAME = pd.DataFrame(
    {
        "mean": [1.0, 2.0, 3.0, 4.0],
        "low": [0.9, -40.0, 2.9, np.nan],
        "high": [1.1, 44.0, 90.0, np.nan],
    }
)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_intervals_that_an_axis_cuts_are_counted_on_it(axis: str) -> None:
    ax = Figure().subplots()
    fit_to_data(ax, FRAME, axis=axis)
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    assert (low < 0.9, high < 5) == (True, True)
    assert [text.get_text() for text in ax.texts] == ["2 intervals run beyond the axis"]


def test_of_panels_with_one_scale_each_counts_its_own_intervals() -> None:
    for rows, told in ((FRAME.iloc[2:], ["1 interval runs beyond the axis"]), (FRAME.iloc[:1], [])):
        ax = Figure().subplots()
        fit_to_data(ax, FRAME, shown=rows)
        assert [text.get_text() for text in ax.texts] == told


def test_where_every_interval_has_room_nothing_is_said() -> None:
    ax = Figure().subplots()
    fit_to_data(ax, FRAME.assign(low=FRAME["mean"] - 0.1, high=FRAME["mean"] + 0.1))
    assert not ax.texts


FAR = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0, 5.3, -247.0])
"""The last is far from the others; of those below 5.1 another is no farther than the margin of their axis."""


def test_what_is_off_an_axis_is_counted_and_has_a_minus_sign() -> None:
    near = FAR[FAR.between(0, 5.1)]
    assert far_note("y", FAR, of_interest=near) == "1 value off the y axis, as far as \N{MINUS SIGN}247"
    assert far_note("y", near) == ""
    ax = Figure().subplots()
    leave_out_the_far(ax, "y", FAR, of_interest=near)
    low, high = ax.get_ylim()
    assert (low > 0, high > 5.3) == (True, True)
    assert [text.get_text() for text in ax.texts] == [far_note("y", FAR, of_interest=near)]


def test_what_a_caption_says_of_the_far_stands_on_no_data() -> None:
    ax = Figure().subplots()
    leave_out_the_far(ax, "y", FAR, is_said=True)
    assert ax.get_ylim()[0] > 0
    assert not ax.texts


def test_an_axis_of_accuracies_reads_in_percent_and_ends_at_100() -> None:
    axes = Figure().subplots(1, 2, squeeze=False, sharey="row")
    for ax, share in zip(axes[0], (0.825, 1.2), strict=True):
        ax.plot([8, 32], [0.8, share])
    scale_accuracy(axes)
    assert axes[0, 0].get_ylabel() == "test accuracy (%)"
    for ax in axes[0]:
        assert ax.yaxis.get_major_formatter().format_ticks([0.8, 0.825, 0.9]) == ["80", "82.5", "90"]
        assert ax.get_ylim()[1] == 1.0
