"""How the metrics fit scikit-learn's linear models."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.measures.disentanglement.code_table import Floats, Ints


@contextmanager
def fitting() -> Iterator[None]:
    """Fit and predict on one thread, so that the bits do not depend on their number, and without warnings.

    A fit that ends at its limit of iterations is what the metric's protocol asks for.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit_logistic(codes: Floats, y: Ints, **settings: Any) -> Any:  # (N, D), (N,)
    """Fit a multinomial logistic regression, with scikit-learn's defaults but for `settings`."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**settings).fit(codes, y)


def standardise(train: Floats, *others: Floats) -> list[Floats]:  # each (., D)
    """Scale codes to mean 0 and variance 1 over the first; a latent that does not vary is shifted alone."""
    mean, std = train.mean(0), train.std(0)
    std = std.copy()
    std[std <= 1e-12] = 1.0
    return [(codes - mean) / std for codes in (train, *others)]
