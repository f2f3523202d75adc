"""Which trainer trains a trial."""

import torch

from models.settings import ImageShape, TrialSettings
from models.training.autograd import AutogradTrainer
from models.training.stacked.stack import Stack
from models.training.trainer import Trainer


def make_trainer(
    settings: TrialSettings,
    image_shape: ImageShape,
    *,
    latent_dim: int,
    capacity: int = 1,
    device: torch.device | str = "cpu",
    is_batched: bool | None = None,
) -> Trainer:
    """A trainer for such trials: a stack where the model is one that stacks, else autograd.

    latent_dim: the most that a member can have. is_batched: see `Stack`.

    Raises:
        ValueError: the processor cannot compute in the precision that the settings ask for.
    """
    if Stack.can_train(settings):
        return Stack(settings, image_shape, latent_dim, capacity=capacity, device=device, is_batched=is_batched)
    return AutogradTrainer(settings, image_shape, capacity=capacity, device=device)
