"""How a model trains, as a textbook has it: for every batch the loss, its gradient by autograd, a step of Adam.

Any model trains so, on any objective. Those that many trials are made of have a faster way (`training/stacked`), which
comes to the same numbers within rounding: a test trains both on the same noise.
"""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from models.latents.latent import At
from models.numerics.adam import BETAS, step_adam
from models.numerics.measuring import computing
from models.numerics.onednn import has_bf16
from models.randomness import CounterNoise, Noise, make_key, make_row_keys
from models.settings import ImageShape, TrialSettings
from models.training.reproduction_stream import BatchNoise
from models.training.schedules import compute_sharpness
from models.training.state import MOMENTS, TrainState, init_state
from models.training.trainer import NOT_ON_A_GPU, DivergedError, EpochMetrics, Member


class AutogradTrainer:
    """A `Trainer` that trains its members one after the other."""

    def __init__(
        self,
        settings: TrialSettings,
        image_shape: ImageShape,
        *,
        capacity: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        """settings: of a trial such as will be members."""
        self._parts, self.image_shape = settings.parts, image_shape
        self.capacity, self.device = capacity, torch.device(device)
        self.members: list[Member] = []
        self._states: list[TrainState] = []

    def admits(self, settings: TrialSettings) -> bool:
        """Any trial of the same model: members share nothing but the images."""
        return settings.parts == self._parts

    def add(self, settings: TrialSettings, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Take a trial in, as the last member; its tensors are copied.

        Raises:
            ValueError: there is no room, or the processor cannot compute in the precision that the settings ask for.
        """
        if len(self.members) == self.capacity:
            raise ValueError("the trainer has no room for this trial")
        if not self.admits(settings):
            raise ValueError("the trial is of another model than the trainer's")
        if settings.precision == "bf16" and not has_bf16(self.device):
            raise ValueError("precision: this processor cannot compute in bf16; use float32")
        if settings.randomness == "report" and self.device.type != "cpu":
            raise ValueError(NOT_ON_A_GPU)
        state = init_state(settings, self.image_shape, self.device, is_drawn=False)
        state.load(tensors, epoch=epoch, step=step)
        state.model.train()
        self.members.append(Member(settings, epoch, step))
        self._states.append(state)

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors of `TrainState.tensors`."""
        for name, tensor in self._states[index].tensors().items():
            tensors[name].copy_(tensor)

    def remove(self, index: int) -> None:
        """Release a member; the last one takes its number."""
        self.members[index], self._states[index] = self.members[-1], self._states[-1]
        self.members.pop()
        self._states.pop()

    def resize(self, capacity: int) -> None:
        """Make room for more members, or for fewer.

        Raises:
            ValueError: there are more members than that.
        """
        if capacity < len(self.members):
            raise ValueError(f"{len(self.members)} members do not fit into {capacity} slots")
        self.capacity = capacity

    def fit_epoch(self, images: Tensor) -> list[EpochMetrics | DivergedError]:
        """Train every member for an epoch. images: (N, C, H, W) uint8, on the trainer's device."""
        with computing():
            return [_fit_epoch(*pair, images) for pair in zip(self.members, self._states, strict=True)]


def _fit_epoch(member: Member, state: TrainState, images: Tensor) -> EpochMetrics | DivergedError:
    started = time.perf_counter()
    settings, num_images = member.settings, len(images)
    batches = member.shuffle(num_images, images[0].numel()).to(images.device).split(settings.batch_size)
    sharpness = compute_sharpness(settings, member.step + torch.arange(len(batches)), len(batches))
    noises = _list_noises(member, num_images, images.device)
    steps = []
    for batch, noise, at in zip(batches, noises, sharpness.float().to(images.device), strict=True):
        steps.append(_step(state, settings, state.model.to_pixels(images[batch]), noise, At(at)))
    names = list(steps[0])
    means = member.finish_epoch(torch.stack([torch.stack(list(step.values())) for step in steps]).cpu(), num_images)
    if isinstance(means, DivergedError):
        return means
    values = dict(zip(names, means, strict=True))
    return EpochMetrics(
        epoch=member.epoch,
        loss=values.pop("loss"),
        rate=values.pop("rate"),
        distortion=values.pop("distortion"),
        added=values,
        sharpness=None if settings.sharpness is None else float(sharpness[-1]),
        seconds=time.perf_counter() - started,
    )


def _step(state: TrainState, settings: TrialSettings, x: Tensor, noise: Noise, at: At) -> dict[str, Tensor]:
    """One step on images x (B, C, H, W) in [0, 1]; returns means over the batch, by name."""
    state.step += 1
    model, objective = state.model, state.objective
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16"):
        terms = objective.terms(model, x, noise, at)
        loss = objective.loss(terms)
        adversary_loss = objective.adversary_loss(model, x, noise, at)
    _step_adam(state, model, "", loss, learning_rate=settings.learning_rate)
    if adversary_loss is not None:
        _step_adam(
            state,
            objective,
            "objective.",
            adversary_loss,
            learning_rate=objective.adversary_learning_rate,
            betas=objective.adversary_betas,
        )
    means = {"loss": loss / len(x), "rate": terms.rate.mean(), "distortion": terms.distortion.mean()}
    return {name: mean.detach() for name, mean in (means | {n: t.mean() for n, t in terms.added.items()}).items()}


def _step_adam(
    state: TrainState,
    module: nn.Module,
    prefix: str,
    loss: Tensor,
    *,
    learning_rate: float,
    betas: tuple[float, float] = BETAS,
) -> None:
    """A step of Adam on a module's parameters, whose moments stand under adam.<prefix><name>."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    first, second = ([state.moments[f"adam.{prefix}{name}.{moment}"] for name in names] for moment in MOMENTS)
    device = loss.device
    step_adam(
        parameters,
        gradients,
        first,
        second,
        count=torch.tensor(float(state.step), device=device),
        learning_rate=torch.tensor(learning_rate, device=device),
        betas=betas,
    )


def _list_noises(member: Member, num_images: int, device: torch.device) -> Iterator[Noise]:
    """The noise of each batch of the member's next epoch."""
    size = member.settings.batch_size
    if member.stream is not None:
        for first in range(0, num_images, size):
            yield BatchNoise(*member.stream.draw_noise(min(size, num_images - first)))
        return
    (keys,) = make_row_keys([make_key(member.settings.seed, "noise", member.epoch + 1)], num_images).to(device)
    yield from map(CounterNoise, keys.split(size))
