"""Training of one model, epoch by epoch, on images held in memory."""

from collections.abc import Iterator

from models.pixels import ImageBytes
from models.settings import TrialSettings
from models.training.make_trainer import make_trainer
from models.training.state import TrainState
from models.training.trainer import EpochMetrics


def fit(state: TrainState, settings: TrialSettings, images: ImageBytes) -> Iterator[EpochMetrics]:
    """Train up to settings.epochs, yielding after every epoch; the state between yields can be stored and restored.

    images: (N, C, H, W) uint8, on the device that trains.

    Raises:
        DivergedError: the objective stopped being finite. The state is then useless.
        Exception: so is it after whatever else a step raises.
        ValueError: the processor cannot compute in the precision that the settings ask for.
    """
    _, channels, height, width = images.shape
    shape = (channels, height, width)
    trainer = make_trainer(settings, shape, latent_dim=settings.latent_dim, device=images.device)
    trainer.add(settings, state.tensors(), epoch=state.epoch, step=state.step)
    while state.epoch < settings.epochs:
        (metrics,) = trainer.fit_epoch(images)
        trainer.store(0, state.tensors())
        (member,) = trainer.members
        state.epoch, state.step = member.epoch, member.step
        if isinstance(metrics, Exception):
            raise metrics
        yield metrics
