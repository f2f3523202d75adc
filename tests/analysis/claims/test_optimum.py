"""Where a bound is best, and how it rises and falls."""

import pytest

from tests.analysis.claims.judging import judge_one
from tests.analysis.planted_claims import (
    EFFECTS,
    grow,
)
from tests.analysis.synthetic import SyntheticStudy

SUPPORTED = EFFECTS["supported"]


def bound(by_dim: dict[int, float], spread: float = 0.01) -> SyntheticStudy:
    """Means are as given, as those of the effects are 1."""
    return grow(
        SUPPORTED,
        lambda _model, _alpha, dim, effect: {"test/elbo": by_dim[dim] + spread * dim / 24 * (effect - 1)},
        dims=by_dim,
    )


@pytest.mark.parametrize(
    ("by_dim", "against"),
    [
        ({8: -120, 24: -110, 200: -100}, "24 over 200"),  # still rising
        ({8: -100, 24: -110, 200: -120}, "24 over 8"),
        ({8: -100.1, 24: -100, 200: -110}, "rise less fall"),  # steeper than the rise
    ],
)
def test_a_bound_without_an_inner_optimum_or_a_slow_fall_is_not_as_claimed(
    by_dim: dict[int, float], against: str
) -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound(by_dim))
    assert verdict.outcome == "mixed"
    assert against in {part.name.partition(": ")[2] for part in verdict.parts if part.outcome == "refuted"}


def test_numbers_that_are_all_the_threshold_decide_nothing() -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound({8: -100, 24: -100, 200: -100}, spread=0))
    assert verdict.outcome == "undecided"
    assert verdict.parts[0].reason == "no spread between seeds: no interval"


def test_the_rise_and_the_fall_are_compared_per_latent() -> None:
    rise, fall, steeper = judge_one("true-bound-has-an-optimum", bound({8: -120, 24: -100, 200: -108})).parts[:3]
    assert (rise.mean, fall.mean, steeper.mean) == pytest.approx((20, 8, 20 / 16 - 8 / 176))
    assert (rise.unit, steeper.unit) == ("nats per image", "nats per image per latent")


def test_latent_dimensions_that_were_not_run_show_no_optimum() -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound({8: -120, 24: -100}))
    assert verdict.reason.startswith("missing: VAE at latent dimension 200, seed 0 (not run)")


def test_a_quick_study_has_latent_dimensions_of_its_own() -> None:
    study = bound({2: -120, 8: -100, 64: -108})
    rise, fall, _ = judge_one("true-bound-has-an-optimum", study, "elbo-vs-latent-dim-quick").parts[:3]
    assert (rise.name, fall.name) == ("VAE: 8 over 2", "VAE: 8 over 64")
