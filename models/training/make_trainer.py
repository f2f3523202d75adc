"""The choice of the trainer that trains a trial."""

import torch

from models.choices import ImageShape
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.stacked.stack import Stack
from models.training.trainer import Trainer


def choose_trainer(settings: TrialSettings) -> type[Stack] | type[AutogradTrainer]:
    """Name the trainer of a trial: a `Stack` if it can train the model, else an `AutogradTrainer`.

    Nothing else chooses. The two round differently, and a trial has its bits whichever others train beside it.
    """
    return Stack if Stack.can_train(settings) else AutogradTrainer


def make_trainer(
    settings: TrialSettings,
    image_shape: ImageShape,
    *,
    latent_dim: int,
    capacity: int = 1,
    device: torch.device | str = "cpu",
    is_batched: bool | None = None,
) -> Trainer:
    """Make a trainer for trials like this one.

    latent_dim: the largest that a member may have. is_batched: see `Stack`.

    Raises:
        ValueError: the processor cannot compute in a stack's precision; an AutogradTrainer checks it in `add`.
    """
    if choose_trainer(settings) is Stack:
        return Stack(settings, image_shape, latent_dim, capacity=capacity, device=device, is_batched=is_batched)
    return AutogradTrainer(settings, image_shape, capacity=capacity, device=device)
