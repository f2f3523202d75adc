import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.tables.intervals import mean_interval, paired_difference


def test_interval_equals_the_one_computed_by_hand() -> None:
    rows = pd.DataFrame({"group": "a", "value": [1.0, 2.0, 6.0]})
    (row,) = mean_interval(rows, "value", by=["group"]).to_dict("records")
    # mean 3, standard deviation sqrt(7), t(0.975, 2) = 4.302653
    half_width = 4.302653 * np.sqrt(7) / np.sqrt(3)
    assert row["mean"] == 3.0
    assert row["n"] == 3
    assert row["low"] == pytest.approx(3 - half_width, abs=1e-5)
    assert row["high"] == pytest.approx(3 + half_width, abs=1e-5)


def test_interval_equals_scipy_stats() -> None:
    values = np.random.default_rng(1).normal(size=7)
    (row,) = mean_interval(pd.DataFrame({"g": 0, "v": values}), "v", by=["g"]).to_dict("records")
    expected = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert (row["low"], row["high"]) == pytest.approx(expected)


def test_one_value_has_a_mean_and_no_interval() -> None:
    (row,) = mean_interval(pd.DataFrame({"g": [0], "v": [5.0]}), "v", by=["g"]).to_dict("records")
    assert (row["mean"], row["n"]) == (5.0, 1)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_equal_values_have_an_interval_of_no_width() -> None:
    (row,) = mean_interval(pd.DataFrame({"g": 0, "v": [5.0, 5.0]}), "v", by=["g"]).to_dict("records")
    assert row["low"] == row["high"] == 5.0


def test_nan_values_are_not_counted_and_nan_keys_are_kept() -> None:
    rows = pd.DataFrame({"alpha": [np.nan, np.nan, 0.5], "v": [1.0, np.nan, np.nan]})
    (row,) = mean_interval(rows, "v", by=["alpha"]).to_dict("records")
    assert np.isnan(row["alpha"])
    assert (row["mean"], row["n"]) == (1.0, 1)


def test_a_difference_is_paired_by_the_seeds_that_both_have() -> None:
    found = paired_difference({0: 3.0, 1: 5.0, 2: 9.0, 3: float("nan")}, {3: 1.0, 1: 4.0, 0: 1.0})
    half_width = 12.706205 * 0.5**0.5 / 2**0.5  # of 2 and 1: t(0.975, 1) * standard deviation / sqrt(n)
    assert (found.mean, found.num_seeds) == (1.5, 2)
    assert [found.low, found.high] == pytest.approx([1.5 - half_width, 1.5 + half_width])


def test_a_difference_without_a_seed_in_common_is_no_number() -> None:
    found = paired_difference({0: 3.0, 1: float("nan")}, {1: 4.0})
    assert np.isnan(found.mean)
    assert found.num_seeds == 0
