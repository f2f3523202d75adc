"""Train one model: a generator of epochs over images held in memory."""

from collections.abc import Iterator

from torch import Tensor

from models.settings import TrialSettings
from models.training.stacked.stack import Family, Stack
from models.training.state import TrainState
from models.training.trainer import DivergedError, EpochMetrics


def fit(state: TrainState, settings: TrialSettings, images: Tensor) -> Iterator[EpochMetrics]:
    """Train up to settings.epochs, yielding after every epoch; the state between yields can be stored and put back.

    images: (N, pixels) uint8, on the device that trains.

    Raises:
        DivergedError: the objective stopped being finite. The state is then of no use.
        ValueError: the processor cannot compute in the precision that the settings ask for.
    """
    stack = Stack(Family.of(settings, images.shape[1]), settings.latent_dim, device=images.device)
    stack.add(settings, state.tensors(), epoch=state.epoch, step=state.step)
    while state.epoch < settings.epochs:
        (metrics,) = stack.fit_epoch(images)
        stack.store(0, state.tensors())
        state.epoch, state.step = stack.members[0].epoch, stack.members[0].step
        if isinstance(metrics, DivergedError):
            raise metrics
        yield metrics
