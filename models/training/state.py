"""All that training needs to go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model, build_objective
from models.objectives.objective import Objective
from models.settings import ImageShape, TrialSettings

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's, by torch's names."""


@dataclass
class TrainState:
    """A model, its objective and Adam's moments. Between epochs training needs no more: each has its own noise."""

    model: Autoencoder
    objective: Objective
    epoch: int = 0  # epochs done
    step: int = 0  # steps of Adam done
    moments: dict[str, Tensor] = field(init=False)  # by name

    def __post_init__(self) -> None:
        names = dict(self.model.named_parameters())
        names |= {f"objective.{name}": p for name, p in self.objective.named_parameters()}
        self.moments = {
            f"adam.{name}.{moment}": torch.zeros_like(p, requires_grad=False)
            for name, p in names.items()
            for moment in MOMENTS
        }

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, buffers that persist and Adam's moments, by name; they share memory with the state."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"objective.{name}": tensor for name, tensor in self.objective.state_dict().items()}
        return tensors | self.moments

    def load(self, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Restore a stored state: what `tensors` returned, and how far training had come.

        Raises:
            ValueError: the names or shapes are not those of this model.
        """
        places = self.tensors()
        if {n: t.shape for n, t in places.items()} != {n: t.shape for n, t in tensors.items()}:
            raise ValueError("the stored state is that of another model")
        for name, place in places.items():
            place.copy_(tensors[name])
        self.epoch, self.step = epoch, step


def init_state(
    settings: TrialSettings, image_shape: ImageShape, device: torch.device | str = "cpu", *, is_drawn: bool = True
) -> TrainState:
    """The state before the first step. is_drawn: as for `build_model`."""
    model = build_model(settings, image_shape, is_drawn=is_drawn)
    return TrainState(model.to(device), build_objective(settings).to(device))
