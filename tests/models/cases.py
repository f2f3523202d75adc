"""The models under test, by name, and shorthands for training them."""

from typing import Any

import torch
from torch import Tensor

from models.settings import SETTINGS, TrialSettings, belongs
from models.training.fit import EpochMetrics, fit
from models.training.state import TrainState, init_state

VSC_ONLY = tuple(name for name in SETTINGS if not belongs(name, "vae"))

KINDS: dict[str, dict[str, Any]] = {
    "vae": {"model": "vae"},
    "vsc_exp_relu": {"model": "vsc", "alpha": 0.3, "gamma_link": "exp_relu"},
    "vsc_sigmoid": {"model": "vsc", "alpha": 0.3, "gamma_link": "sigmoid"},
    "vsc_report": {"model": "vsc", "alpha": 0.3, "randomness": "report"},
}


def make_settings(kind: str, **changes: Any) -> TrialSettings:
    """Settings of a small model of this kind."""
    return TrialSettings(**({"latent_dim": 3, "hidden": (16,), "batch_size": 32, "epochs": 3} | KINDS[kind] | changes))


def make_images(count: int, num_pixels: int, seed: int = 0) -> Tensor:  # -> (count, num_pixels) uint8
    """Noise to train on."""
    return torch.randint(0, 256, (count, num_pixels), generator=make_generator(seed)).to(torch.uint8)


def make_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(settings: TrialSettings, images: Tensor) -> tuple[TrainState, list[EpochMetrics]]:
    """A model trained from its start to the last of its epochs, and the metrics of every epoch."""
    state = init_state(settings, images.shape[1])
    return state, list(fit(state, settings, images))


def copy_tensors(state: TrainState) -> dict[str, Tensor]:
    """The state as a checkpoint would hold it, apart from the living one."""
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def assert_same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """The same names, and the same bits under every name."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
