"""All that training needs to go on."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model
from models.settings import TrialSettings


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


def init_state(settings: TrialSettings, num_pixels: int, device: torch.device | str = "cpu") -> TrainState:
    """A model before its first step, and its optimizer."""
    return TrainState(build_model(settings, num_pixels).to(device))
