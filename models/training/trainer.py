"""The interface of all trainers, with the members they train and the metrics they return."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from models.pixels import ImageBytes
from models.randomness import make_key, make_stream
from models.settings import TrialSettings
from models.training.reproduction_stream import ReproductionStream

NOT_ON_A_GPU = "randomness: the numbers of report are drawn on the CPU; set gpu: 0, or randomness: counter"


class DivergedError(ArithmeticError):
    """The training objective stopped being finite at this epoch (from 1) and step (from 1, over the run)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss stopped being finite in epoch {epoch}, at step {step}")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.epoch, self.step)  # so that it can be pickled


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """Means over the training images of one epoch, nats per image, and the epoch's duration."""

    epoch: int  # from 1
    loss: float  # of the training objective
    rate: float
    distortion: float
    added: Mapping[str, float] = field(default_factory=dict)  # the objective's other terms, and what the prior learned
    sharpness: float | None  # at the epoch's last step; None where there is no spike
    seconds: float  # where several members train together, an equal share


EpochOutcome = EpochMetrics | Exception
"""What an epoch gives a member: its metrics, or a `DivergedError`, or whatever else its step raised."""


@dataclass
class Member:
    """A trial in a trainer: its settings and its progress."""

    settings: TrialSettings
    epoch: int  # epochs done
    step: int  # steps done
    stream: ReproductionStream | None = None  # with randomness: report, from its first epoch here

    def shuffle(self, num_images: int, num_pixels: int) -> Tensor:  # -> (images of an epoch,) int64
        """Draw the images of the next epoch, in order, on the CPU, so that it is the same for every device.

        num_images: number of training images.
        """
        if self.settings.randomness == "report":
            if self.stream is None:
                self.stream = ReproductionStream(self.settings, num_pixels, num_images, epoch=self.epoch)
            return self.stream.shuffle()
        return self._shuffle(num_images, "order")

    def shuffle_second_batches(self, num_images: int) -> Tensor:  # -> (images of an epoch,) int64
        """Draw the images of an adversary's second batches in the next epoch, in order, on the CPU."""
        return self._shuffle(num_images, "second order")

    def _shuffle(self, num_images: int, purpose: str) -> Tensor:
        if self.settings.batch_order == "sequential":
            num = self.settings.count_images(num_images)
            return (self.epoch * num + torch.arange(num)) % num_images
        order = torch.randperm(num_images, generator=make_stream(self.settings.seed, purpose, self.epoch + 1))
        return order[: self.settings.count_images(num_images)]

    @property
    def pixel_key(self) -> int:
        """Key of the draws that binarise the next epoch's images, each at its index; the same in all epochs if static.

        An image's draws depend on it, the trial's seed and the epoch only: a checkpoint needs nothing of them.
        """
        epoch = self.epoch + 1 if self.settings.binarisation == "dynamic" else 0
        return make_key(self.settings.seed, "binarisation", epoch)

    def finish_epoch(self, steps: Tensor, num_images: int) -> list[float] | DivergedError:
        """Count an epoch as done; return the means over its images, or the error if a step was not finite.

        steps: (num_steps, n), n values per step, each a mean over the batch. The last batch may be a smaller one.
        num_images: of the epoch.
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
    """A trainer of several trials, its members. It trains them all for an epoch at a time.

    A member's numbers do not depend on the other members. A member's number is its index in `members`. Members join and
    leave between epochs.
    """

    members: list[Member]
    capacity: int

    def admits(self, settings: TrialSettings) -> bool:
        """Whether a trial with these settings can be a member, if there is room."""

    def add(self, settings: TrialSettings, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Add a trial as the last member. tensors: those of `TrainState.tensors`; they are copied.

        Raises:
            ValueError: there is no room, or the trial is not admitted.
        """

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors that have the names and shapes of `TrainState.tensors`."""

    def remove(self, index: int) -> None:
        """Release a member; the last member takes its number."""

    def resize(self, capacity: int) -> None:
        """Change the number of members that there is room for.

        Raises:
            ValueError: there are more members than the new capacity.
        """

    def fit_epoch(self, images: ImageBytes) -> Sequence[EpochOutcome]:
        """Train every member for an epoch. A member whose outcome is an error is useless, and changes no other.

        images: (N, C, H, W) uint8, on the device that trains.

        Raises:
            Exception: no member can go on.
        """


def raise_failure(outcomes: Iterable[EpochOutcome]) -> None:
    """Raise the first error of a step; where members diverged, all their steps were taken."""
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, DivergedError):
            raise outcome
