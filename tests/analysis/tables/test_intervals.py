import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.metrics import ANYWHERE, metric_of
from analysis.tables.accuracies import OVER, OVER_SEEDS, accuracy_note, mean_accuracy
from analysis.tables.intervals import mean_interval, paired_difference, widen_by_images
from analysis.tables.series import assign_series
from tests.analysis.synthetic import SyntheticStudy


def test_interval_equals_the_one_computed_by_hand() -> None:
    rows = pd.DataFrame({"group": "a", "value": [1.0, 2.0, 6.0]})
    (row,) = mean_interval(rows, "value", by=["group"], limits=ANYWHERE).to_dict("records")
    # mean 3, standard deviation sqrt(7), t(0.975, 2) = 4.302653
    half_width = 4.302653 * np.sqrt(7) / np.sqrt(3)
    assert row["mean"] == 3.0
    assert row["n"] == 3
    assert row["low"] == pytest.approx(3 - half_width, abs=1e-5)
    assert row["high"] == pytest.approx(3 + half_width, abs=1e-5)


def test_interval_equals_scipy_stats() -> None:
    values = np.random.default_rng(1).normal(size=7)
    (row,) = mean_interval(pd.DataFrame({"g": 0, "v": values}), "v", by=["g"], limits=ANYWHERE).to_dict("records")
    expected = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert (row["low"], row["high"]) == pytest.approx(expected)


def test_one_value_has_a_mean_and_no_interval() -> None:
    (row,) = mean_interval(pd.DataFrame({"g": [0], "v": [5.0]}), "v", by=["g"], limits=ANYWHERE).to_dict("records")
    assert (row["mean"], row["n"]) == (5.0, 1)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_equal_values_have_an_interval_of_no_width() -> None:
    (row,) = mean_interval(pd.DataFrame({"g": 0, "v": [5.0, 5.0]}), "v", by=["g"], limits=ANYWHERE).to_dict("records")
    assert row["low"] == row["high"] == 5.0


def test_nan_values_are_not_counted_and_nan_keys_are_kept() -> None:
    rows = pd.DataFrame({"alpha": [np.nan, np.nan, 0.5], "v": [1.0, np.nan, np.nan]})
    (row,) = mean_interval(rows, "v", by=["alpha"], limits=ANYWHERE).to_dict("records")
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


def test_differences_that_are_all_alike_have_no_interval() -> None:
    found = paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 3.0, 2: 7.0})
    assert (found.mean, found.num_seeds) == (2.0, 3)
    assert np.isnan([found.low, found.high]).all()


def test_an_interval_ends_where_its_metric_does_whatever_its_column_is_called() -> None:
    rows = pd.DataFrame({"g": 0, "value": [0.98, 0.99, 1.0]})
    (row,) = mean_interval(rows, "value", by=["g"], limits=metric_of("code/nonzero_fraction").limits).to_dict("records")
    assert (row["high"], row["mean"]) == (1.0, pytest.approx(0.99))
    assert row["low"] == pytest.approx(0.99 - 4.302653 * 0.01 / np.sqrt(3), abs=1e-6)


def test_an_accuracy_of_few_images_is_as_uncertain_as_a_share_of_them_however_alike_the_seeds() -> None:
    means = pd.DataFrame({"mean": [0.9, 0.9], "low": [0.9, 0.89], "high": [0.9, 0.91]})
    wide = widen_by_images(means, 2_000)
    half = 1.959964 * np.sqrt(0.9 * 0.1 / 2_000)  # 1.3 points
    assert list(wide["high"] - 0.9) == pytest.approx([half, np.hypot(half, 0.01)], abs=1e-6)
    assert list(0.9 - wide["low"]) == pytest.approx([half, np.hypot(half, 0.01)], abs=1e-6)


def test_it_does_not_leave_0_to_1_and_one_seed_still_has_no_interval() -> None:
    means = pd.DataFrame({"mean": [0.99, 0.5], "low": [0.8, np.nan], "high": [1.0, np.nan]})
    wide = widen_by_images(means, 2_000)
    assert wide["high"].iloc[0] == 1.0
    assert wide["low"].iloc[0] < 0.8
    assert wide.loc[1, ["low", "high"]].isna().all()


@pytest.mark.parametrize(("probe", "num"), [("knn", 2_000), ("mlp", 10_000)])
def test_intervals_of_accuracies_hold_the_images_that_a_probe_has_classified(probe: str, num: int) -> None:
    study = SyntheticStudy()
    column = f"probe/{probe}_mu_all_accuracy"
    for seed in range(3):
        study.add("vae", 8, seed)
        study.trials[-1] |= {column: 0.9, "probe/num_images": 10_000.0, "probe/num_knn_images": 2_000.0}
    rows = assign_series(study.tables().trials, apart_from=["latent_dim"])
    means = mean_accuracy(rows, column)
    assert means["high"].tolist() == pytest.approx([0.9 + 1.959964 * np.sqrt(0.09 / num)])
    assert accuracy_note(means) == OVER
    older = mean_accuracy(rows.drop(columns=["probe/num_images", "probe/num_knn_images"]), column)
    assert older["high"].tolist() == [0.9]
    assert accuracy_note(older) == OVER_SEEDS
