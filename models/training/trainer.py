"""What every trainer takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from models.randomness import make_stream
from models.settings import TrialSettings
from models.training.reproduction_stream import ReproductionStream

NOT_ON_A_GPU = "randomness: the report's numbers are drawn on the CPU; set gpu: 0, or randomness: counter"


class DivergedError(ArithmeticError):
    """The training objective stopped being finite at this epoch (from 1) and step (from 1, over the run)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss stopped being finite in epoch {epoch}, at step {step}")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.epoch, self.step)  # it can go from one process to another


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """Means over the training images seen in one epoch, nats per image, and how long it took."""

    epoch: int  # from 1
    loss: float  # the objective
    rate: float
    distortion: float
    added: Mapping[str, float] = field(default_factory=dict)  # the objective's other terms, by name
    sharpness: float | None  # at the epoch's last step; None where there is no spike
    seconds: float  # the member's share, where several train together


@dataclass
class Member:
    """A trial that trains: its settings, and how far it has come."""

    settings: TrialSettings
    epoch: int  # epochs done
    step: int  # steps done
    stream: ReproductionStream | None = None  # where its random numbers are the report's, once it has trained here

    def shuffle(self, num_images: int, num_pixels: int) -> Tensor:  # -> (num_images,) int64
        """The order of the images in the next epoch, on the CPU wherever they are: the same on every device."""
        if self.settings.randomness == "report":
            if self.stream is None:
                self.stream = ReproductionStream(self.settings, num_pixels, num_images, epoch=self.epoch)
            return self.stream.shuffle()
        return torch.randperm(num_images, generator=make_stream(self.settings.seed, "order", self.epoch + 1))

    def finish_epoch(self, steps: Tensor, num_images: int) -> list[float] | DivergedError:
        """Count an epoch as done; return what it came to, as means over its images.

        steps: (num_steps, n), of each step n means over the images of its batch, the last batch perhaps a small one.
        """
        self.epoch += 1
        self.step += len(steps)
        finite = steps.isfinite().all(1)
        if not finite.all():
            first = int((~finite).nonzero()[0])
            return DivergedError(self.epoch, self.step - len(steps) + first + 1)
        size = self.settings.batch_size
        sizes = [min(size, num_images - first) for first in range(0, num_images, size)]
        means: list[float] = (torch.tensor(sizes).double() / num_images @ steps.double()).tolist()
        return means


class Trainer(Protocol):
    """Trains its members an epoch at a time. Each comes to the numbers that it comes to alone, whoever the others are.

    Members are numbered in the order of `members`; they join and leave between epochs.
    """

    members: list[Member]
    capacity: int

    def admits(self, settings: TrialSettings) -> bool:
        """Whether such a trial can be a member, room provided."""

    def add(self, settings: TrialSettings, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Take a trial in, as the last member. tensors: what `TrainState.tensors` returns; they are copied.

        Raises:
            ValueError: there is no room, or the trial is not admitted.
        """

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors named and shaped as those of `TrainState.tensors`."""

    def remove(self, index: int) -> None:
        """Release a member; the last one takes its number."""

    def resize(self, capacity: int) -> None:
        """Make room for more members, or for fewer.

        Raises:
            ValueError: there are more members than that.
        """

    def fit_epoch(self, images: Tensor) -> list[EpochMetrics | DivergedError]:
        """Train every member for an epoch. A member that diverged is of no further use, and harms no other.

        images: (N, C, H, W) uint8, on the device that trains.
        """
