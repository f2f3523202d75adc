from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.tables.significance import (
    LEVEL,
    OUTCOMES,
    Test,
    combine_parts,
    compute_share_interval,
    correct_by_holm,
    decide,
    estimate_difference,
    estimate_mean,
    estimate_share,
)

NAN = float("nan")


def floats(*values: Any) -> tuple[float, ...]:
    return tuple(map(float, values))


def test_a_mean_has_the_interval_and_the_p_of_students_t() -> None:
    values = np.random.default_rng(1).normal(1, 1, 7)
    found = estimate_mean(values, "greater", 0.3)
    expected = stats.ttest_1samp(values, 0.3)
    interval = expected.confidence_interval(0.95)
    assert floats(found.mean, found.num) == (pytest.approx(values.mean()), 7)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    one_sided = stats.ttest_1samp(values, 0.3, alternative="greater").pvalue
    assert found.p_for == pytest.approx(2 * min(one_sided, 0.5))
    assert found.p_against == pytest.approx(2 * min(1 - one_sided, 0.5))
    less = estimate_mean(values, "less", 0.3)
    assert (less.p_for, less.p_against) == (found.p_against, found.p_for)


def test_a_difference_has_welchs_statistic_on_the_degrees_of_freedom_of_the_smaller_sample() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 5), rng.normal(1, 3, 8)
    statistic = stats.ttest_ind(first, second, equal_var=False).statistic
    found = estimate_difference(first, second, "less", 0.0)
    assert found.p_for == pytest.approx(min(2 * stats.t.cdf(statistic, 4), 1))
    half = stats.t.ppf(0.975, 4) * np.sqrt(first.var(ddof=1) / 5 + second.var(ddof=1) / 8)
    assert (found.low, found.high) == pytest.approx(
        (first.mean() - second.mean() - half, first.mean() - second.mean() + half)
    )
    assert found.num == 5


def test_students_own_sleep_data_give_his_paired_p() -> None:
    """Student 1908, hours of sleep gained by ten patients: t = 4.0621, two-sided p = 0.00283."""
    drug = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    other = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    found = estimate_mean(other - drug, "greater", 0.0)
    assert found.p_for == pytest.approx(0.002833, abs=1e-6)
    assert (found.mean, found.low, found.high) == pytest.approx((1.58, 0.7001, 2.4599), abs=1e-4)


@pytest.mark.parametrize(
    ("values", "p_for", "p_against"),
    [([-0.1, 0.0, 0.1], True, False), ([1.9, 2.0, 2.1], False, True), ([0.9, 1.0, 1.1], False, False)],
)
def test_equivalent_is_an_interval_within_the_threshold_on_both_sides(
    values: list[float], p_for: bool, p_against: bool
) -> None:
    found = estimate_mean(values, "equivalent", 1.0)
    assert (bool(found.p_for <= LEVEL), bool(found.p_against <= LEVEL)) == (p_for, p_against)
    mirrored = estimate_mean(-np.array(values), "equivalent", 1.0)
    assert (mirrored.p_for, mirrored.p_against) == pytest.approx((found.p_for, found.p_against))


def test_equivalence_is_two_one_sided_tests() -> None:
    values = np.random.default_rng(3).normal(0.2, 1, 9)
    above = stats.ttest_1samp(values, -1, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 1, alternative="less").pvalue
    assert estimate_mean(values, "equivalent", 1.0).p_for == pytest.approx(2 * max(above, below))


def test_a_p_and_an_interval_say_the_same() -> None:
    values = np.random.default_rng(4).normal(0.6, 1, (500, 6))
    for test in ("greater", "less", "equivalent"):
        found = estimate_mean(values, test, 0.5)
        above, below = found.low > 0.5, found.high < 0.5
        within = (found.low > -0.5) & (found.high < 0.5)
        outside = above | (found.high < -0.5)
        holds, fails = {"greater": (above, below), "less": (below, above), "equivalent": (within, outside)}[test]
        assert (found.p_for <= LEVEL).tolist() == holds.tolist()
        assert (found.p_against <= LEVEL).tolist() == fails.tolist()
        assert fails.any()


def test_a_share_is_exact() -> None:
    """8 of 8: 0.025 ** (1 / 8); 3 of 8 as tabulated; p as scipy's binomial test has it."""
    ones = np.array([[1.0] * 8, [0.0] * 8, [1.0] * 3 + [0.0] * 5])
    found = estimate_share(ones, "greater", 0.5)
    assert found.low == pytest.approx([0.025 ** (1 / 8), 0, 0.08523], abs=1e-5)
    assert found.high == pytest.approx([1, 1 - 0.025 ** (1 / 8), 0.75514], abs=1e-5)
    expected = [stats.binomtest(num, 8, 0.5, alternative="greater").pvalue for num in (8, 0, 3)]
    assert found.p_for == pytest.approx(np.minimum(2 * np.array(expected), 1))
    expected = [stats.binomtest(num, 8, 0.5, alternative="less").pvalue for num in (8, 0, 3)]
    assert found.p_against == pytest.approx(np.minimum(2 * np.array(expected), 1))
    low, high = compute_share_interval(3, 8)
    assert (low, high) == pytest.approx((0.08523, 0.75514), abs=1e-5)


@pytest.mark.parametrize("test", ["greater", "less", "equivalent"])
@pytest.mark.parametrize("values", [[], [NAN, NAN], [5.0], [5.0, NAN], [1.0, 1.0, 1.0]])
def test_of_too_few_values_and_of_values_that_are_the_threshold_nothing_is_sure(test: str, values: list[float]) -> None:
    found = estimate_mean(values, test, 1.0)  # type: ignore[arg-type]
    assert floats(found.p_for, found.p_against) == (1, 1)
    found = estimate_difference([*values, NAN], [0.0, 0.0, 0.0], test, 1.0)  # type: ignore[arg-type]
    assert floats(found.p_for, found.p_against) == (1, 1)


@pytest.mark.parametrize("test", ["greater", "less", "equivalent"])
def test_equal_values_have_no_interval_and_are_sure_of_nothing(test: Test) -> None:
    values = [0.1 + 0.2, 0.3, 0.3]  # equal but for rounding
    for found in (estimate_mean(values, test, 0.5), estimate_difference(values, [0.0, 0.0, 0.0], test, 0.5)):
        assert floats(found.mean, found.num, found.p_for, found.p_against) == pytest.approx((0.3, 3, 1, 1))
        assert np.isnan([found.low, found.high]).all()


def test_a_share_of_few_latents_is_not_often_found_to_be_below_what_it_is() -> None:
    """0.06 of ten latents against less than 0.05: with three seeds all are 0 in 15% of studies."""
    shares = np.random.default_rng(6).binomial(10, 0.06, (4_000, 3)) / 10
    assert (shares == 0).all(axis=1).mean() > 0.1
    assert (estimate_mean(shares, "less", 0.05).p_for <= LEVEL).mean() <= LEVEL


def test_no_share_of_nothing() -> None:
    found = estimate_share([NAN, NAN], "less", 0.5)
    assert np.isnan(found.mean)
    assert floats(found.num, found.p_for, found.p_against) == (0, 1, 1)


@pytest.mark.parametrize(
    ("p_for", "p_against", "is_premise", "outcome"),
    [
        ([0.01, 0.05], [1, 1], [0, 0], "supported"),
        ([0.01, 0.06], [1, 1], [0, 0], "undecided"),
        ([1, 1], [0.025, 1], [0, 0], "refuted"),
        ([1, 1], [0.026, 1], [0, 0], "undecided"),  # one of two: its p counts twice
        ([1, 0.06], [0.01, 1], [0, 0], "refuted"),
        ([1, 0.05], [0.01, 1], [0, 0], "mixed"),  # one that holds by itself is enough for the weaker word
        ([1, 0.02], [0.01, 1], [0, 0], "mixed"),
        ([1, 0.02], [0.01, 1], [1, 0], "refuted"),  # its premise is
        ([1, 0.02], [0.01, 1], [0, 1], "refuted"),  # all that holds is what it takes for granted
        ([0.01, 0.01], [1, 1], [0, 1], "supported"),
        ([0.04], [1], [0], "supported"),
        ([1], [0.04], [0], "refuted"),
    ],
)
def test_outcomes_are_as_defined(
    p_for: list[float], p_against: list[float], is_premise: list[int], outcome: str
) -> None:
    assert OUTCOMES[int(decide(p_for, p_against, is_premise, 0.05))] == outcome
    is_decided = bool(combine_parts(p_for, p_against) <= 0.05)
    assert is_decided == (outcome != "undecided")


def test_a_stricter_level_never_gives_a_stronger_word() -> None:
    """Of no claim that is mixed or undecided at the level of one claim alone does a correction make a refuted one."""
    for level in (LEVEL, LEVEL / 20):
        assert OUTCOMES[int(decide([0.004, 1], [1, 1e-6], [0, 0], level))] == "mixed"
    rng = np.random.default_rng(7)
    p = 10.0 ** rng.uniform(-6, 0, (3, 4_000))
    is_for = rng.random(p.shape) < 0.5
    p_for, p_against = np.where(is_for, p, 1), np.where(is_for, 1, p)
    undecided = OUTCOMES.index("undecided")
    for is_premise in ([0, 0, 0], [1, 0, 0]):
        alone, corrected = (decide(p_for, p_against, is_premise, level) for level in (LEVEL, LEVEL / 20))
        assert len(set(alone)) == 4
        weaker = np.where(alone == OUTCOMES.index("refuted"), OUTCOMES.index("mixed"), undecided)
        assert ((corrected == alone) | (corrected == undecided) | (corrected == weaker)).all()


def test_holms_own_procedure() -> None:
    """0.01, 0.04, 0.03 and 0.005 become 0.03, 0.06, 0.06 and 0.02, as R's p.adjust has them."""
    corrected, levels = correct_by_holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert levels == pytest.approx([0.05 / 3, 0, 0, 0.05 / 4])
    runs, _ = correct_by_holm(np.array([[0.01, 1], [0.04, 0.2], [0.03, 0.001], [0.005, 1]]))
    assert runs[:, 0] == pytest.approx(corrected)
    assert runs[:, 1] == pytest.approx([1, 0.6, 0.004, 1])


@pytest.mark.parametrize("ratio", [1, 4, 10, 100])
def test_independent_samples_of_three_are_not_found_to_differ_too_often(ratio: float) -> None:
    """Welch's own degrees of freedom give 0.002 at the level of 0.001 where the ratio is 10; ours stay below."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(40_000, 3)), ratio * rng.normal(size=(40_000, 3))
    found = estimate_difference(first, second, "greater", 0.0)
    for level in (0.05, 0.001):
        rate = (np.minimum(found.p_for, found.p_against) <= level).mean()
        assert rate <= level + 3 * np.sqrt(level / 40_000)
