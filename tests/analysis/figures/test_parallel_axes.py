import numpy as np
import pandas as pd
import pytest

from analysis.figures.parallel_axes import ABSENT, make_objective_axis, make_setting_axis


def rows(*values: float | None, levels: list[str | None] | None = None) -> pd.DataFrame:
    trials = [f"t{i}" for i in range(len(values))]
    return pd.DataFrame(
        {"trial_id": trials, "at": np.array(values, float), "level": levels or [None] * len(values)}, dtype=object
    ).astype({"at": float})


def test_numbers_lie_between_the_smallest_and_the_largest() -> None:
    axis = make_setting_axis(rows(2.0, 3.0, 6.0))
    assert axis.heights.to_dict() == {"t0": 0, "t1": 0.25, "t2": 1}
    assert axis.ticks["4"] == 0.5


def test_a_wide_range_lies_by_its_logarithm() -> None:
    axis = make_setting_axis(rows(1e-4, 1e-3, 1e-2))
    assert axis.heights.tolist() == pytest.approx([0, 0.5, 1])
    assert axis.ticks["0.001"] == pytest.approx(0.5)


def test_texts_have_a_tick_each() -> None:
    axis = make_setting_axis(rows(0, 1, 2, 1, levels=["[200]", "[300]", "[400]", "[300]"]))
    assert axis.ticks == {"[200]": 0, "[300]": 0.5, "[400]": 1}


def test_few_levels_of_a_number_have_a_tick_each() -> None:
    assert make_setting_axis(rows(16, 32, 128, 16, 32, 128)).ticks == {"16": 0, "32": pytest.approx(1 / 7), "128": 1}


def test_a_trial_without_the_setting_passes_below() -> None:
    axis = make_setting_axis(rows(None, 0.1, 0.5))
    assert axis.heights.tolist() == [ABSENT, 0, 1]
    assert axis.ticks["none"] == ABSENT < 0


def test_the_better_end_of_an_objective_is_on_top() -> None:
    values = rows(-30, -20, -10)
    assert make_objective_axis(values, is_maximised=True).heights.tolist() == [0, 0.5, 1]
    assert make_objective_axis(values, is_maximised=False).heights.tolist() == [1, 0.5, 0]


def test_a_value_far_off_meets_the_axis_at_its_end_which_says_so() -> None:
    axis = make_objective_axis(rows(-30, -20, -10, -25, -15, -1e6), is_maximised=True)
    assert axis.heights.tolist() == [0, 0.5, 1, 0.25, 0.75, 0]
    assert axis.ticks["\N{LESS-THAN OR EQUAL TO} \N{MINUS SIGN}30"] == 0


def test_values_that_are_all_equal_lie_in_the_middle() -> None:
    assert make_objective_axis(rows(-20, -20), is_maximised=True).heights.tolist() == [0.5, 0.5]
