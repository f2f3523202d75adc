"""The steps of one model on a GPU as a recording, whatever the model: what autograd launches costs one launch."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from models.numerics.recording import Recording


class Inputs(NamedTuple):
    """What differs from step to step, all on the device that trains."""

    batch: Tensor  # (B,) int64: the images
    second: Tensor  # (B,) int64: those of an adversary's second batch; without an adversary, the same again
    row_keys: Tensor  # (B,) int64: keys of each image's noise
    pixel_keys: Tensor  # (B,) int64: keys that binarise each image of the batch
    second_pixel_keys: Tensor  # (B,) int64: the same of the second batch
    sharpness: Tensor  # (), of the relaxed spikes
    learning_rate: Tensor  # ()
    adam_step: Tensor  # () float32: how many steps Adam has taken, with this one, since its moments were zero
    adversary_step: Tensor  # () float32: the same of the objective's own parameters


Step = Callable[[Inputs], Mapping[str, Tensor]]
"""A step of training; it returns means over the batch, each (), by name."""


class GraphedStep:
    """A step that reads its inputs from buffers at fixed addresses, so that a GPU can replay it."""

    def __init__(self, images: Tensor) -> None:
        """images: bytes of those that the step reads, at a fixed address."""
        self.images = images
        self._recording = Recording()
        self._inputs: Inputs | None = None
        self._names: list[str] = []
        self._means = torch.empty(0)

    @property
    def is_recorded(self) -> bool:
        """Whether steps are replayed by now."""
        return self._recording.is_recorded

    def run(self, step: Step, inputs: Inputs) -> dict[str, Tensor]:
        """Take a step; step: the same at each call, and not stored."""
        if self._inputs is None:
            self._inputs = Inputs(*(part.clone() for part in inputs))
        buffers = self._inputs
        for buffer, part in zip(buffers, inputs, strict=True):
            buffer.copy_(part)

        def work() -> None:
            means = step(buffers)
            self._names, self._means = list(means), torch.stack(list(means.values()))

        self._recording.run(work)
        return dict(zip(self._names, self._means.clone().unbind(), strict=True))
