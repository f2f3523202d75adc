"""Made-up studies of the usual shapes (see synthetic.py)."""

import pytest

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
