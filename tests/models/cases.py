"""The models under test, by name, and shorthands for training them."""

import os
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from models.choices import ImageShape
from models.latents.latent import At
from models.randomness import StreamNoise
from models.setting import SETTINGS, belongs
from models.settings import TrialSettings
from models.training.fit import EpochMetrics, fit
from models.training.state import TrainState, init_state
from models.training.trainer import EpochOutcome

DEVICE = torch.device(os.environ.get("SPIKESLAB_DEVICE", "cpu"))
"""What trainers are tested on: `python -m tests.gpu` sets it to cuda."""

SMALL: ImageShape = (1, 4, 5)
DIGITS: ImageShape = (1, 8, 8)
MNIST: ImageShape = (1, 28, 28)

VSC_ONLY = tuple(name for name in SETTINGS if belongs(name, "vsc") and not belongs(name, "vae"))

KINDS: dict[str, dict[str, Any]] = {
    "vae": {"model": "vae"},
    "vsc_exp_relu": {"model": "vsc", "alpha": 0.3, "gamma_link": "exp_relu"},
    "vsc_sigmoid": {"model": "vsc", "alpha": 0.3, "gamma_link": "sigmoid"},
    "vsc_straight_through": {"model": "vsc", "alpha": 0.3, "gamma_link": "sigmoid", "estimator": "straight_through"},
    "vsc_disarm": {"model": "vsc", "alpha": 0.3, "gamma_link": "sigmoid", "estimator": "disarm", "kl_from": "logits"},
    "vsc_report": {"model": "vsc", "alpha": 0.3, "randomness": "report"},
}

OTHER_OBJECTIVES: dict[str, dict[str, Any]] = {
    "annealed_vae": {"model": "annealed_vae", "capacity": 2.0, "capacity_steps": 9},
    "annealed_vsc": {"model": "annealed_vsc", "alpha": 0.3, "capacity": 2.0, "capacity_steps": 9},
    "beta_tcvae": {"model": "beta_tcvae", "beta": 6.0},
    "factor_vae": {"model": "factor_vae", "tc_weight": 10.0, "discriminator_width": 8},
    "factor_vsc": {"model": "factor_vsc", "alpha": 0.3, "tc_weight": 10.0, "discriminator_width": 8},
}
"""Models whose latents are among KINDS, trained on another objective: see tests/models/objectives."""

AS_FIRST_PUBLISHED: dict[str, dict[str, Any]] = {
    "vsc_iclr": {"model": "vsc_iclr", "alpha": 0.3},
    "vsc_uai_paper": {"model": "vsc_uai_paper", "alpha": 0.3, "warm_up_from": 2, "warm_up_to": 5, "drop_after": 4},
    "vsc_uai_code": {"model": "vsc_uai_code", "alpha": 0.3, "warm_up_from": 2, "warm_up_to": 5, "drop_after": 4},
}
"""See tests/models/test_as_first_published.py."""

OTHER_SPARSE: dict[str, dict[str, Any]] = {
    "vsc_learned_alpha": {"model": "vsc_learned_alpha", "alpha": 0.3, "gamma_link": "sigmoid", "kl_from": "logits"},
    "thresholded_vae": {"model": "thresholded_vae", "alpha": 0.3},
}
"""Models whose sparsity is learned, or made otherwise: see tests/models/latents."""

MIXED: list[dict[str, Any]] = [
    {"model": "vsc", "alpha": 0.5, "latent_dim": 6, "learning_rate": 1e-3, "seed": 1},
    {"model": "vae", "latent_dim": 3, "learning_rate": 3e-3, "seed": 2, "beta": 2.0},
    {"model": "vsc", "alpha": 0.05, "latent_dim": 4, "learning_rate": 5e-3, "seed": 1, "beta": 0.5},
    {"model": "vsc", "alpha": 0.2, "latent_dim": 3, "seed": 3, "sharpness_schedule": "ramp"},
    {"model": "vae", "latent_dim": 6, "seed": 4},
    {"model": "vsc", "alpha": 0.2, "latent_dim": 5, "seed": 5, "sharpness_schedule": "per_step"},
]
"""Trials that one stack trains side by side: both models, three sharpness schedules, several latent dimensions."""


def make_settings(kind: str, **changes: Any) -> TrialSettings:
    """Settings of a small model of this kind."""
    small = {"latent_dim": 3, "hidden": (16,), "batch_size": 32, "epochs": 3}
    return TrialSettings(**(small | (KINDS | OTHER_OBJECTIVES | AS_FIRST_PUBLISHED | OTHER_SPARSE)[kind] | changes))


def make_images(count: int, shape: ImageShape, seed: int = 0) -> Tensor:  # -> (count, C, H, W) uint8
    """Noise to train on."""
    return torch.randint(0, 256, (count, *shape), generator=make_generator(seed)).to(torch.uint8)


def shape_of(images: Tensor) -> ImageShape:
    _, channels, height, width = images.shape
    return channels, height, width


def make_noise(seed: int) -> StreamNoise:
    return StreamNoise(make_generator(seed))


def at(sharpness: float) -> At:
    """A training step at this sharpness."""
    return At(torch.tensor(sharpness))


def expand(q: Distribution, *sample_shape: int) -> Distribution:
    """The same distribution several times."""
    return q.expand([*sample_shape, *q.batch_shape])


def make_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(settings: TrialSettings, images: Tensor) -> tuple[TrainState, list[EpochMetrics]]:
    """A model trained from its start to the last of its epochs, and the metrics of every epoch."""
    state = init_state(settings, shape_of(images))
    return state, list(fit(state, settings, images))


def get_loss(outcome: EpochOutcome) -> float:
    """The training loss of an epoch; an error that stands in its place is raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome.loss


def copy_tensors(state: TrainState) -> dict[str, Tensor]:
    """The state as a checkpoint would hold it, apart from the living one."""
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def assert_same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """The same names, and the same bits under every name."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
