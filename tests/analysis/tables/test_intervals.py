import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.tables.intervals import mean_interval


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
