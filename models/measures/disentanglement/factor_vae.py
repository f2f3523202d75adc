"""The FactorVAE score: does the latent that varies least tell which factor was fixed?

Source: Kim and Mnih, Disentangling by Factorising (ICML 2018), section 4.
"""

import numpy as np

from models.measures.disentanglement.code_table import (
    NUM_TEST,
    NUM_TRAIN,
    CodeTable,
    Floats,
    Ints,
    find_active,
)

BATCH_SIZE = 64
"""Images that share the fixed factor, behind each vote."""

VOTES_AT_ONCE = 500


def score_factor_vae(table: CodeTable, rng: np.random.Generator) -> float:
    """Compute the accuracy of the majority vote on new votes, from 0 to 1; 0 where no latent is active.

    Latents whose standard deviation is below ACTIVE_STD do not vote. Chance is 1 / the number of factors.
    """
    codes, _ = table.draw(rng, NUM_TRAIN)
    active = find_active(codes)
    if not active.any():
        return 0.0
    pruned, scale = CodeTable(table.codes[:, active], table.factors), codes[:, active].var(0, ddof=1)
    train, test = (_count_votes(pruned, rng, num, scale) for num in (NUM_TRAIN, NUM_TEST))
    factor_of = train.argmax(1)  # (D,), the majority's
    return float(test[np.arange(len(test)), factor_of].sum() / test.sum())


def _count_votes(table: CodeTable, rng: np.random.Generator, num: int, scale: Floats) -> Ints:  # -> (D, K)
    """Count how often each latent varied least, relative to its `scale`, its variance (D,), by the fixed factor."""
    fixed = rng.integers(table.num_factors, size=num)
    votes = np.zeros((table.num_latents, table.num_factors), np.int64)
    for factor in range(table.num_factors):
        own = int((fixed == factor).sum())
        for first in range(0, own, VOTES_AT_ONCE):
            num_votes = min(VOTES_AT_ONCE, own - first)
            values = table.draw(rng, num_votes)[1][:, factor]
            codes = table.draw_sharing(rng, factor, np.repeat(values[:, None], BATCH_SIZE, 1))  # (votes, 64, D)
            least = (codes.var(1, ddof=1) / scale).argmin(1)
            votes[:, factor] += np.bincount(least, minlength=table.num_latents)
    return votes
