"""The state of a training run, from which training can be resumed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.autoencoder import Autoencoder
from models.build import build_model, build_objective
from models.choices import ImageShape
from models.objectives.objective import Objective
from models.settings import TrialSettings

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of Adam's two moments, as torch has them."""


@dataclass
class TrainState:
    """A model, its objective and Adam's moments: all that an epoch begins with, as it seeds its noise itself."""

    model: Autoencoder
    objective: Objective
    epoch: int = 0  # epochs done
    step: int = 0  # steps of Adam done
    moments: dict[str, Tensor] = field(init=False)  # by name, such as adam.encoder.layers.0.weight.exp_avg

    def __post_init__(self) -> None:
        names = dict(self.model.named_parameters())
        names |= {f"objective.{name}": p for name, p in self.objective.named_parameters()}
        self.moments = {
            f"adam.{name}.{moment}": torch.zeros_like(p, requires_grad=False)
            for name, p in names.items()
            for moment in MOMENTS
        }

    @property
    def has_schedule(self) -> bool:
        """Whether a step depends on how many went before, by more than its sharpness and learning rate."""
        return self.objective.has_schedule or self.model.latent.has_schedule

    def clear_moments(self) -> None:
        """Set Adam's moments to zero, as a new Adam has them."""
        for moment in self.moments.values():
            moment.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """Return parameters, persistent buffers and Adam's moments by name; they share memory with the state."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"objective.{name}": tensor for name, tensor in self.objective.state_dict().items()}
        return tensors | self.moments

    def load(self, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Restore a stored state: the tensors that `tensors` returned, and the numbers of epochs and steps done.

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
    settings: TrialSettings,
    image_shape: ImageShape,
    device: torch.device | str = "cpu",
    *,
    is_drawn: bool = True,
    layout: torch.memory_format = torch.contiguous_format,
) -> TrainState:
    """Make the state before the first step. is_drawn: see `build_model`. layout: of filters, which maps take over."""
    model = build_model(settings, image_shape, is_drawn=is_drawn).to(device)
    return TrainState(model.to(memory_format=layout), build_objective(settings).to(device))
