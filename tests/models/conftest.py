"""What every test of the models starts from: real images, trained models, and a watch on torch's global generator."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from harness.datasets import load_dataset
from models.training.state import TrainState
from tests.models.cases import make_settings, train


@pytest.fixture(autouse=True)
def _global_generator_is_never_used() -> Iterator[None]:
    """A trial owns its streams: whatever a test does with the models, torch's global generator stays where it was."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before), "torch's global generator has moved"


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """1,500 handwritten digits, (1500, 1, 8, 8) uint8."""
    return torch.tensor(load_dataset("digits").train_images)


@pytest.fixture(scope="session")
def test_digits() -> Tensor:
    """297 others, (297, 1, 8, 8) uint8."""
    return torch.tensor(load_dataset("digits").test_images)


@pytest.fixture(scope="session", params=["vae", "vsc_exp_relu", "vsc_sigmoid"])
def trained(request: pytest.FixtureRequest, digits: Tensor) -> TrainState:
    """A small model of each kind, trained on the digits. Not to be changed."""
    settings = make_settings(request.param, latent_dim=6, hidden=(64,), learning_rate=3e-3, epochs=8, seed=5)
    return train(settings, digits)[0]


@pytest.fixture(scope="session")
def trained_vsc(digits: Tensor) -> TrainState:
    """A small VSC whose posterior is neither all spike nor all slab. Not to be changed."""
    settings = make_settings("vsc_sigmoid", latent_dim=6, hidden=(64,), learning_rate=3e-3, epochs=8, seed=5)
    return train(settings, digits)[0]
