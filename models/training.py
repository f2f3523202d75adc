"""Train one model: a generator of epochs over images held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.fused import DivergedError, EpochMetrics, Family, Stack
from models.settings import TrialSettings
from models.vae import VAE
from models.vsc import VSC


@dataclass
class TrainState:
    """All that training needs to go on; between epochs it needs nothing more, as every epoch has its own noise."""

    model: Autoencoder
    epoch: int = 0  # epochs done
    step: int = 0  # optimizer steps done
    moments: dict[str, Tensor] = field(init=False)  # Adam's, by name

    def __post_init__(self) -> None:
        self.moments = {
            f"adam.{name}.{moment}": torch.zeros_like(p, requires_grad=False)
            for name, p in self.model.named_parameters()
            for moment in ("exp_avg", "exp_avg_sq")
        }

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and Adam's moments, by name; they share memory with the state."""
        return {f"model.{name}": p.detach() for name, p in self.model.named_parameters()} | self.moments

    def load(self, tensors: dict[str, Tensor], *, epoch: int, step: int) -> None:
        """Go back to a stored state: what `tensors` returned, and how far training had come.

        Raises:
            ValueError: the names or shapes are not those of this model.
        """
        own = self.tensors()
        if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
            raise ValueError("the stored state is that of another model")
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.epoch, self.step = epoch, step


def build_model(settings: TrialSettings, num_pixels: int, *, is_drawn: bool = True) -> Autoencoder:
    """The freshly initialised model, on the CPU.

    Its parameters are those that the report's code draws after torch.manual_seed(seed): what becomes of a VSC with few
    latents depends on them by whole nats. is_drawn: else they are left undefined, for others to be put there.
    """
    generator = torch.Generator().manual_seed(settings.seed % 2**64) if is_drawn else None
    shape = (num_pixels, settings.hidden, settings.latent_dim)
    model: Autoencoder
    if settings.model == "vae":
        model = VAE(*shape, generator, initialisation=settings.initialisation)
    else:
        assert settings.alpha is not None
        assert settings.gamma_link is not None
        assert settings.gamma_clamp is not None
        model = VSC(
            *shape,
            generator,
            alpha=settings.alpha,
            gamma_link=settings.gamma_link,
            gamma_clamp=settings.gamma_clamp,
            initialisation=settings.initialisation,
        )
    model.pixel_scaling = settings.pixel_scaling
    return model.eval()  # a Stack trains it, which knows no mode


def init_state(settings: TrialSettings, num_pixels: int, device: torch.device | str = "cpu") -> TrainState:
    """A model before its first step, and its optimizer."""
    return TrainState(build_model(settings, num_pixels).to(device))


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


def describe_device(device: Any) -> str:
    """The device in words: the card's name, or cpu."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
