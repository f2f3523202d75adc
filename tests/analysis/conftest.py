"""Axes to draw on, and made-up studies of the usual shapes (see synthetic.py)."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.analysis.synthetic import SyntheticStudy


@pytest.fixture
def quickstart() -> SyntheticStudy:
    study = SyntheticStudy()
    study.grid(alphas=[0.05, 0.2, 0.5], latent_dims=[2, 4, 8, 16, 32], seeds=3)
    return study


@pytest.fixture
def random_search() -> SyntheticStudy:
    study = SyntheticStudy()
    study.random_search(40)
    return study


@pytest.fixture
def one_trial() -> SyntheticStudy:
    study = SyntheticStudy()
    study.add("vsc", latent_dim=8, seed=0, alpha=0.2)
    return study


@pytest.fixture
def make_axes() -> Callable[..., np.ndarray]:
    def make(rows: int = 1, columns: int = 1) -> np.ndarray:
        return Figure().subplots(rows, columns, squeeze=False)

    return make
