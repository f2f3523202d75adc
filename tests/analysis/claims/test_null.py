"""How often the protocol decides anything where there is nothing to find: every part of every claim on its threshold.

The parts are those that each claim of studies/claims.yaml has in the tables planted for it, with other numbers.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.claims import Claim
from analysis.claims.judge import estimate_part
from analysis.claims.quantity import Criterion, Sample
from analysis.tables.significance import LEVEL, OUTCOMES, combine_parts, correct_by_holm, decide
from tests.analysis.claims.judging import CLAIMS
from tests.analysis.planted_claims import plant

UNDECIDED = OUTCOMES.index("undecided")
FEW = [1_000]
MANY = pytest.param(40_000, marks=pytest.mark.slow)
SEEDS = [3, 10]


@cache
def measure_planted(claim_id: str) -> list[Sample]:
    return CLAIMS[claim_id].build_quantity().measure(plant(claim_id, "supported"))


def make_null(sample: Sample, criterion: Criterion, shape: tuple[int, int], rng: np.random.Generator) -> Sample:
    """The same part in many studies, (R, S), with a mean on the threshold, and samples that spread unequally."""
    if sample.is_share:
        return replace(sample, values=(rng.random(shape) < criterion.threshold).astype(float))
    values = criterion.threshold + rng.normal(size=shape)
    minus = None if sample.minus is None else rng.choice([0.1, 1, 5]) * rng.normal(size=shape)
    return replace(sample, values=values, minus=minus)


def simulate(claim: Claim, shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray, NDArray, list[bool]]:  # type: ignore[type-arg]
    """p for and against each part that decides the claim, (K, R) each, and which parts are premises."""
    samples = measure_planted(claim.id)
    judged = [
        one for one in samples if claim.primary is None or one.latent_dim is None or one.latent_dim in claim.primary
    ]
    criteria = [sample.criterion or Criterion(claim.test, claim.threshold) for sample in judged]
    found = [
        estimate_part(make_null(sample, criterion, shape, rng), criterion, paired=claim.paired)
        for sample, criterion in zip(judged, criteria, strict=True)
    ]
    return (
        np.stack([one.p_for for one in found]),
        np.stack([one.p_against for one in found]),
        [sample.is_premise for sample in judged],
    )


@pytest.mark.parametrize("num_seeds", SEEDS)
@pytest.mark.parametrize("num_runs", [*FEW, MANY])
def test_with_nothing_to_find_no_claim_is_decided_too_often_and_all_primaries_together_neither(
    num_runs: int, num_seeds: int
) -> None:
    rng = np.random.default_rng(num_seeds)
    most = LEVEL + 4 * np.sqrt(LEVEL * (1 - LEVEL) / num_runs)  # four standard errors, as there are forty claims
    primaries = []
    for claim in CLAIMS.values():
        p_for, p_against, is_premise = simulate(claim, (num_runs, num_seeds), rng)
        rate = (decide(p_for, p_against, is_premise, LEVEL) != UNDECIDED).mean()
        assert rate <= most, f"{claim.id}: {rate:.3f}"
        if claim.primary is not None:
            primaries += [(p_for, p_against, is_premise)] * len(claim.study)
    p = np.stack([combine_parts(p_for, p_against) for p_for, p_against, _ in primaries])
    _, levels = correct_by_holm(p)
    outcomes = np.stack([decide(*one, level) for one, level in zip(primaries, levels, strict=True)])
    rate = (outcomes != UNDECIDED).any(axis=0).mean()
    print(f"\n{len(primaries)} primary endpoints of {num_seeds} seeds: {rate:.3%} of {num_runs:,} papers decide any")
    assert rate <= most


def test_without_a_correction_some_primary_would_be_decided_far_more_often() -> None:
    """So that the test above can fail: nearly every other paper of thirty claims would find something."""
    rng = np.random.default_rng(0)
    claims = [claim for claim in CLAIMS.values() if claim.primary is not None]
    p = np.stack([combine_parts(*simulate(claim, (1_000, 10), rng)[:2]) for claim in claims])
    assert ((p <= LEVEL).any(axis=0)).mean() > 0.2
