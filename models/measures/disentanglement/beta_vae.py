"""The BetaVAE score: can a linear classifier tell which factor two sets of images have in common?

Source: Higgins et al., beta-VAE (ICLR 2017), section 3.
"""

import numpy as np

from models.measures.disentanglement.code_table import NUM_TEST, NUM_TRAIN, CodeTable, Floats, Ints
from models.measures.disentanglement.fitting import fit_logistic

BATCH_SIZE = 64
"""Pairs of images behind each point."""

POINTS_AT_ONCE = 500


def score_beta_vae(table: CodeTable, rng: np.random.Generator) -> float:
    """Compute the accuracy on new points, from 0 to 1; chance is 1 / the number of factors."""
    (train, y), (test, truth) = (_make_points(table, rng, num) for num in (NUM_TRAIN, NUM_TEST))
    return float((fit_logistic(train, y).predict(test) == truth).mean())


def _make_points(table: CodeTable, rng: np.random.Generator, num: int) -> tuple[Floats, Ints]:  # (num, D), (num,)
    """Make points: mean absolute differences of the codes of pairs that share one factor, and which factor it is."""
    shared = rng.integers(table.num_factors, size=num)
    points = np.empty((num, table.num_latents))
    for factor in range(table.num_factors):
        own = np.flatnonzero(shared == factor)
        for some in np.split(own, range(POINTS_AT_ONCE, len(own), POINTS_AT_ONCE)):
            codes, factors = table.draw(rng, len(some) * BATCH_SIZE)
            distances = np.abs(codes - table.draw_sharing(rng, factor, factors[:, factor]))
            points[some] = distances.reshape(len(some), BATCH_SIZE, table.num_latents).mean(1)
    return points, shared
