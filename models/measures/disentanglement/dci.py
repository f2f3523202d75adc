"""DCI: disentanglement, completeness and informativeness, from how important each latent is to predict each factor.

Source: Eastwood and Williams, A Framework for the Quantitative Evaluation of Disentangled Representations (ICLR 2018),
with gradient boosted trees as in disentanglement_lib.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.measures.disentanglement.code_table import CodeTable, Floats

NUM_TRAIN, NUM_TEST = 1_000, 1_000
"""Images that trees are fitted on, and scored on. disentanglement_lib takes 10,000 and 5,000, which needs many minutes
for ten latents. Compare scores with a floor and a ceiling of as many images."""


class DCI(NamedTuple):
    """Three scores from 0 to 1."""

    disentanglement: float
    completeness: float
    informativeness: float  # accuracy of the trees on new images, mean over factors


def score_dci(
    table: CodeTable,
    rng: np.random.Generator,
    *,
    num_train: int = NUM_TRAIN,
    num_test: int = NUM_TEST,
    on_factor: Callable[[int], None] | None = None,
) -> DCI:
    """Fit boosted trees that predict each factor, and read how they weigh the latents.

    on_factor: called with the number of factors done, after each: a hundred trees for each value of a factor are slow.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    (train, y), (test, truth) = table.split(rng, num_train, num_test)
    importances, accuracies = [], []
    for k in range(table.num_factors):
        trees = GradientBoostingClassifier(random_state=int(rng.integers(2**31))).fit(train, y[:, k])
        importances.append(np.abs(trees.feature_importances_))
        accuracies.append((trees.predict(test) == truth[:, k]).mean())
        if on_factor is not None:
            on_factor(k + 1)
    matrix = np.stack(importances, 1)  # (D, K)
    return DCI(compute_disentanglement(matrix), compute_completeness(matrix), float(np.mean(accuracies)))


def compute_disentanglement(importances: Floats) -> float:  # (D, K)
    """Compute 1 - the entropy of each latent's importances, base K, mean over latents by their share of importance."""
    return _compute_concentration(importances)


def compute_completeness(importances: Floats) -> float:  # (D, K)
    """Compute 1 - the entropy of each factor's importances, base D, mean over factors by their share of importance."""
    return _compute_concentration(importances.T)


def _compute_concentration(weights: Floats) -> float:  # (I, J)
    """Compute 1 - the entropy of each row, base J, mean by the rows' sums; 0 without weights.

    With one column nothing is spread: 1.
    """
    totals = weights.sum(1)
    if not totals.any():
        return 0.0
    if weights.shape[1] == 1:
        return 1.0
    shares = np.divide(weights, totals[:, None], out=np.zeros_like(weights), where=totals[:, None] > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropies = -(shares * logs).sum(1) / np.log(weights.shape[1])
    return float((totals / totals.sum()) @ (1 - entropies))
