"""Explicitness: can each value of each factor be read from the code by a linear classifier?

Source: Ridgeway and Mozer, Learning Deep Disentangled Embeddings with the F-Statistic Loss (NeurIPS 2018), section 3.
"""

import numpy as np

from models.measures.disentanglement.code_table import NUM_TEST, NUM_TRAIN, CodeTable, Floats, Ints
from models.measures.disentanglement.fitting import fit_logistic, standardise


def score_explicitness(table: CodeTable, rng: np.random.Generator) -> float:
    """Compute the area under the ROC curve of each value against the rest on new images, mean over values, factors.

    From .5, chance, to 1. Logistic regression, on standardised codes.
    """
    (train, y), (test, truth) = table.split(rng, NUM_TRAIN, NUM_TEST)
    train, test = standardise(train, test)
    return float(np.mean([_score_factor(train, y[:, k], test, truth[:, k]) for k in range(table.num_factors)]))


def _score_factor(train: Floats, y: Ints, test: Floats, truth: Ints) -> float:  # (N, D), (N,), (M, D), (M,)
    from sklearn.metrics import roc_auc_score

    classifier = fit_logistic(train, y)
    is_new = ~np.isin(truth, classifier.classes_)  # of a value so rare that no image to fit on has it
    if len(classifier.classes_) == 2 and not is_new.any():  # then both values have the same area
        return float(roc_auc_score(truth, classifier.predict_proba(test)[:, 1]))
    probabilities = classifier.predict_proba(test)
    areas = [
        roc_auc_score(truth == value, probabilities[:, column])
        for column, value in enumerate(classifier.classes_)
        if 0 < (truth == value).mean() < 1
    ]
    return float(np.mean(areas))
