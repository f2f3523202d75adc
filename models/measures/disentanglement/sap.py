"""SAP, the separated attribute predictability: how much better does the best latent predict a factor than the second?

Source: Kumar, Sattigeri and Balakrishnan, Variational Inference of Disentangled Latent Concepts from Unlabeled
Observations (ICLR 2018), section 3, for discrete factors.
"""

import numpy as np

from models.measures.disentanglement.code_table import NUM_TEST, NUM_TRAIN, CodeTable, Floats, Ints


def score_sap(table: CodeTable, rng: np.random.Generator) -> float:
    """Compute SAP with linear classifiers of one latent each, from 0 to 1.

    A perfect code of dSprites has .25 only: by one number, a linear classifier tells few of many values apart. Beside a
    single latent stands a constant one.
    """
    (train, y), (test, truth) = table.split(rng, NUM_TRAIN, NUM_TEST)
    scores = [
        [_classify(train[:, [d]], y[:, k], test[:, [d]], truth[:, k]) for k in range(table.num_factors)]
        for d in range(table.num_latents)
    ]
    if table.num_latents == 1:
        nothing = np.zeros((len(train), 1)), np.zeros((len(test), 1))
        scores.append([_classify(nothing[0], y[:, k], nothing[1], truth[:, k]) for k in range(table.num_factors)])
    return compute_gap(np.array(scores))


def compute_gap(scores: Floats) -> float:  # (D, K), D at least 2
    """Compute the mean over factors of the best latent's score less the second best's."""
    ranked = np.sort(scores, axis=0)
    return float((ranked[-1] - ranked[-2]).mean())


def _classify(train: Floats, y: Ints, test: Floats, truth: Ints) -> float:  # (N, 1), (N,), (M, 1), (M,)
    """Fit a linear support vector machine for each value against the rest; return the accuracy on `test`."""
    from sklearn.svm import LinearSVC

    classifier = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(train, y)
    return float((classifier.predict(test) == truth).mean())
