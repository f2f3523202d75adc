"""InfoM, InfoC and InfoE: modularity, compactness and explicitness, each by what latents tell of factors.

Source: Hsu et al., Disentanglement via Latent Quantization (NeurIPS 2023), section 5, and its code
(latent_quantization, commit 4ba4c9d).
"""

from typing import NamedTuple

import numpy as np

from models.measures.disentanglement.code_table import CodeTable, Floats, Ints
from models.measures.disentanglement.fitting import fit_logistic, standardise

NUM_POINTS = 10_000
NUM_NEIGHBOURS = 10
MIN_RANGE = 1 / 20
"""Range of a latent, as a share of the largest one's, up to which modularity and compactness leave it out."""


class InfoMEC(NamedTuple):
    """Three scores from 0 to 1; each can lie slightly outside by the noise of its estimate."""

    modularity: float  # InfoM: does each latent tell of one factor?
    explicitness: float  # InfoE: how much of the factors can be read linearly?
    compactness: float  # InfoC: is each factor told by one latent?


def score_infomec(table: CodeTable, rng: np.random.Generator) -> InfoMEC:
    """Compute the three scores of 10,000 images; of constant codes all are 0."""
    ((codes, factors),) = table.split(rng, NUM_POINTS)
    ranges = np.ptp(codes, axis=0)
    if not ranges.any():
        return InfoMEC(0.0, 0.0, 0.0)
    (kept,), (scaled,) = standardise(codes[:, ranges > MIN_RANGE * ranges.max()]), standardise(codes)
    information = _measure_information(kept, factors, seed=int(rng.integers(2**31)))
    explicitness = [_score_explicitness(scaled, factor) for factor in factors.T]
    return InfoMEC(
        compute_concentration(information.T), float(np.mean(explicitness)), compute_concentration(information)
    )


def compute_concentration(information: Floats) -> float:  # (I, J)
    """Compute how far each column's information lies in one of its rows: mean over columns, 0 if even, 1 if in one.

    A column without information counts as even. Where there is a single row, nothing is spread: 1, unless no column has
    any information: 0.
    """
    num_rows = len(information)
    totals = information.sum(0)
    shares = np.divide(information.max(0), totals, out=np.full_like(totals, 1 / num_rows), where=totals > 0)
    if num_rows == 1:
        return float(totals.any())
    return float((shares.mean() - 1 / num_rows) / (1 - 1 / num_rows))


def _measure_information(codes: Floats, factors: Ints, *, seed: int) -> Floats:  # (N, D), (N, K) -> (D, K)
    """Measure the mutual information of latents and factors by nearest neighbours, as shares of a factor's entropy."""
    from sklearn.feature_selection import mutual_info_classif

    columns = []
    for factor in factors.T:
        nats = mutual_info_classif(codes, factor, n_neighbors=NUM_NEIGHBOURS, random_state=seed)
        share = np.bincount(factor) / len(factor)
        columns.append(nats / -(share[share > 0] * np.log(share[share > 0])).sum())
    return np.stack(columns, 1)


def _score_explicitness(codes: Floats, factor: Ints) -> float:  # (N, D), (N,)
    """Compute the share of a factor's log loss that an unpenalised logistic regression removes, in sample.

    As in the cited code, it is fitted to balanced classes, so that without codes it gives each value the same
    probability; its loss is then the mean over images as they are.
    """
    from sklearn.metrics import log_loss

    classifier = fit_logistic(codes, factor, C=np.inf, class_weight="balanced")
    num_values = len(classifier.classes_)
    loss = log_loss(factor, classifier.predict_proba(codes), labels=classifier.classes_)
    return float(1 - loss / np.log(num_values))
