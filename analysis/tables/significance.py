"""How surely a number lies on one side of a threshold, and what that says of a claim of several parts: pure functions.

All work on the last axis, that of the seeds, or on the first, that of parts and of claims, so that a thousand made-up
studies are judged at once as one study is.

Sources: Welch 1947; Mickey and Brown 1966 for his statistic with the smaller sample's degrees of freedom; Clopper and
Pearson 1934; Schuirmann 1987 for two one-sided tests (TOST); Holm 1979; Berger 1982 for "every part holds" without a
correction (intersection-union).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, betaincinv, stdtr, stdtrit  # scipy.stats takes a second to import

from analysis.tables.intervals import COVERAGE

Array = NDArray[Any]
Test = Literal["greater", "less", "equivalent"]
Outcome = Literal["supported", "refuted", "mixed", "undecided"]

OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "mixed", "undecided")
LEVEL = 1 - COVERAGE  # how often a claim whose parts all lie on their thresholds may be decided, one way or the other
MIN_SEEDS = 3  # fewer decide nothing, whatever their interval
TOLERANCE = 1e-12  # relative: differences of equal numbers have a standard error by rounding alone


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, and how far the data speak for and against what is claimed of it.

    p_for, p_against: of the two-sided test, so that one of them is at most 0.05 where the interval lies wholly on one
    side of the threshold; of "equivalent", wholly within, or wholly outside, the threshold on both sides of zero.
    All are of the shape of the samples without their last axis. num: of seeds, in the smaller of two samples. Ends are
    NaN where there is no interval.
    """

    mean: Array
    low: Array
    high: Array
    num: Array
    p_for: Array
    p_against: Array


def estimate_mean(values: ArrayLike, test: Test, threshold: float) -> Estimate:  # (..., S)
    """The mean over seeds, by Student's t. NaN are left out; of fewer than two values, or equal ones, p is 1."""
    mean, error, num = _describe(np.asarray(values, float))
    return _test_by_t(mean, error, num, test, threshold)


def estimate_difference(first: ArrayLike, second: ArrayLike, test: Test, threshold: float) -> Estimate:
    """The mean of the first sample less that of the second, which are independent. Shapes (..., S) and (..., T).

    Welch's statistic, with one degree of freedom less than the smaller sample has values. Welch's own degrees of
    freedom are too many in the tails that a correction for many tests asks for: of samples of three whose standard
    deviations are as 1 to 10, a p of 0.0002 comes up four times too often.
    """
    ours, theirs = (_describe(np.asarray(values, float)) for values in (first, second))
    num = np.minimum(ours[2], theirs[2])
    return _test_by_t(ours[0] - theirs[0], np.hypot(ours[1], theirs[1]), num, test, threshold)


def estimate_share(values: ArrayLike, test: Literal["greater", "less"], threshold: float) -> Estimate:  # (..., S)
    """The share of ones among zeros and ones, with its exact interval (Clopper and Pearson); p by the binomial."""
    cells = np.asarray(values, float)
    of = np.isfinite(cells).sum(axis=-1)
    num = np.nansum(cells, axis=-1)
    low, high = compute_share_interval(num, of)
    above = np.where(num > 0, bdtrc(np.maximum(num - 1, 0), np.maximum(of, 1), threshold), 1.0)
    below = np.where(of > 0, bdtr(num, np.maximum(of, 1), threshold), 1.0)
    p_for, p_against = (above, below) if test == "greater" else (below, above)
    with np.errstate(invalid="ignore"):
        return Estimate(num / of, low, high, of, np.minimum(2 * p_for, 1), np.minimum(2 * p_against, 1))


def compute_share_interval(num: ArrayLike, of: ArrayLike) -> tuple[Array, Array]:
    """The exact 95% interval (Clopper and Pearson 1934) of the share num / of."""
    hits, total = np.asarray(num, float), np.asarray(of, float)
    tail = LEVEL / 2
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), total - hits + 1, tail), 0.0)
    high = np.where(hits < total, betaincinv(hits + 1, np.maximum(total - hits, 1), 1 - tail), 1.0)
    return low, high


def combine_parts(p_for: ArrayLike, p_against: ArrayLike) -> Array:  # (K, ...), (K, ...) -> (...)
    """The p of a claim of K parts: the smaller of that which supports it and that which is against it.

    For a claim each part has to speak, so the largest counts, uncorrected. Against it, one is enough, so the smallest
    counts, times the number of parts (Bonferroni).
    """
    support = np.max(p_for, axis=0)
    against = np.minimum(np.shape(p_against)[0] * np.min(p_against, axis=0), 1.0)
    return np.asarray(np.minimum(support, against))


def decide(p_for: ArrayLike, p_against: ArrayLike, is_premise: ArrayLike, level: ArrayLike) -> Array:
    """The outcome of a claim of K parts, as an index into OUTCOMES. (K, ...), (K, ...), (K,), (...) -> (...)

    - supported: every part holds, by its p at the level.
    - refuted: some part surely does not hold, and none speaks for the claim; or a premise surely does not hold.
    - mixed: some part surely does not hold, another speaks for the claim. A premise that holds does not.
    - undecided: anything else.

    "Surely" is p at most the level. Where one part is enough, p is multiplied by the number of parts. A part speaks for
    the claim by its own p at LEVEL, whatever the level: a correction decides less, and never for the stronger word.
    """
    speaks_for, speaks_against = np.asarray(p_for), np.asarray(p_against)
    premises, is_against = np.asarray(is_premise, bool), len(speaks_for) * speaks_against <= level
    any_for, any_against = (speaks_for[~premises] <= LEVEL).any(axis=0), is_against.any(axis=0)
    without_premise = is_against[premises].any(axis=0)
    return np.select(
        [without_premise, any_against & any_for, any_against, (speaks_for <= level).all(axis=0)],
        [OUTCOMES.index(outcome) for outcome in ("refuted", "mixed", "refuted", "supported")],
        OUTCOMES.index("undecided"),
    )


def correct_by_holm(p: ArrayLike) -> tuple[Array, Array]:  # (C, ...) -> (C, ...), (C, ...)
    """Holm's p of each of C tests, and the level at which each is decided: LEVEL / C and up; 0 where it is not."""
    tests = np.asarray(p, float)
    order = np.argsort(tests, axis=0, kind="stable")
    factors = (len(tests) - np.arange(len(tests))).reshape(-1, *[1] * (tests.ndim - 1))
    raised = np.maximum.accumulate(np.minimum(factors * np.take_along_axis(tests, order, axis=0), 1.0), axis=0)
    corrected, levels = np.empty_like(tests), np.empty_like(tests)
    np.put_along_axis(corrected, order, raised, axis=0)
    np.put_along_axis(levels, order, np.where(raised <= LEVEL, LEVEL / factors, 0.0), axis=0)
    return corrected, levels


def _describe(values: Array) -> tuple[Array, Array, Array]:  # (..., S) -> three of (...)
    """Mean, its standard error and the number of values that are not NaN; error NaN for fewer than two."""
    is_there = np.isfinite(values)
    num = is_there.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(is_there, values, 0.0).sum(axis=-1) / num
        deviations = np.where(is_there, values - mean[..., None], 0.0)
        error = np.sqrt((deviations**2).sum(axis=-1) / (num - 1) / num)
        scale = np.abs(np.where(is_there, values, 0.0)).max(axis=-1, initial=0.0)
    return mean, np.where(error <= TOLERANCE * scale, 0.0, error), num


def _test_by_t(mean: Array, error: Array, num: Array, test: Test, threshold: float) -> Estimate:
    """Without a spread, as of counts and shares that are alike by chance, there is no interval and p is 1."""
    freedom = np.maximum(num - 1, 1)
    has_spread = (num > 1) & (error > 0)
    half = np.where(has_spread, stdtrit(freedom, (1 + COVERAGE) / 2) * error, np.nan)

    def p_beyond(bound: float, sign: int) -> Array:
        """The p of the mean being no more than the bound (sign 1), or no less (sign -1)."""
        distance = sign * (bound - mean)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = stdtr(freedom, distance / error)
        return np.where(has_spread, p, 1.0)

    if test == "equivalent":
        p_for = np.maximum(p_beyond(-threshold, 1), p_beyond(threshold, -1))
        p_against = np.minimum(p_beyond(-threshold, -1), p_beyond(threshold, 1))
    else:
        above, below = p_beyond(threshold, 1), p_beyond(threshold, -1)
        p_for, p_against = (above, below) if test == "greater" else (below, above)
    p_for, p_against = (np.minimum(2 * p, 1.0) for p in (p_for, p_against))
    return Estimate(mean, mean - half, mean + half, num, p_for, p_against)
