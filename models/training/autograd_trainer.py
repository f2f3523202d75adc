"""Training as textbooks describe it: for every batch the loss, its gradient by autograd, a step of Adam.

Read this file to learn how a model trains: an epoch, a step, the noise, then the trainer that keeps several trials.
Any model can train here, on any objective. The common ones have a faster trainer (`training/stacked`), whose numbers
are the same within rounding: a test trains both on the same noise.
"""

import time
from collections.abc import Iterator, Mapping
from math import prod

import torch
from torch import Tensor, nn

from models.choices import ImageShape
from models.latents.latent import At
from models.numerics.adam import BETAS, step_adam
from models.numerics.computing import computing
from models.numerics.precision import has_precision, multiplying
from models.pixels import ImageBytes, binarise
from models.randomness import CounterNoise, Noise, make_key, make_offsets, make_row_keys
from models.settings import TrialSettings
from models.training.reproduction_stream import BatchNoise
from models.training.sharpness import compute_sharpness
from models.training.state import MOMENTS, TrainState, init_state
from models.training.trainer import NOT_ON_A_GPU, DivergedError, EpochMetrics, Member

DROP = 0.1
"""Factor of the learning rate where it drops: `drop_after`."""


def _fit_epoch(member: Member, state: TrainState, images: ImageBytes) -> EpochMetrics | DivergedError:
    """Train for one epoch on images (N, C, H, W) uint8."""
    started = time.perf_counter()
    settings, device = member.settings, images.device
    order = member.shuffle(len(images), prod(images.shape[1:])).to(device)
    batches, num_images = order.split(settings.batch_size), len(order)
    noises = _list_noises(member, num_images, device)
    (pixel_keys,) = make_row_keys([member.pixel_key], len(images)).to(device)  # (N,)
    sharpness = compute_sharpness(settings, member.step + torch.arange(len(batches)), len(batches))

    def read(batch: Tensor) -> Tensor:  # (B,) -> (B, C, H, W)
        x = state.model.to_pixels(images[batch])
        if settings.binarisation == "none":
            return x
        return binarise(x.flatten(1), pixel_keys[batch, None] + make_offsets(x[0].numel(), device)).view_as(x)

    second_batches = batches
    if state.objective.has_adversary:
        second_batches = member.shuffle_second_batches(len(images)).to(device).split(settings.batch_size)
    steps = []
    for i, (batch, second, noise) in enumerate(zip(batches, second_batches, noises, strict=True)):
        others = read(second) if state.objective.has_adversary else None
        at = At(sharpness[i].float().to(device), member.step + i)
        steps.append(_step(state, settings, read(batch), noise, at, others=others))

    names = list(steps[0])
    values = torch.stack([torch.stack(list(step.values())) for step in steps])  # (num_steps, names)
    means = member.finish_epoch(values.cpu(), num_images)
    if isinstance(means, DivergedError):
        return means
    metrics = dict(zip(names, means, strict=True))
    learned = {name: float(number) for name, number in state.model.latent.list_learned().items()}
    return EpochMetrics(
        epoch=member.epoch,
        loss=metrics.pop("loss"),
        rate=metrics.pop("rate"),
        distortion=metrics.pop("distortion"),
        added=metrics | learned,  # what is left of the means, and numbers as they are now
        sharpness=None if settings.sharpness is None else float(sharpness[-1]),
        seconds=time.perf_counter() - started,
    )


def _step(
    state: TrainState, settings: TrialSettings, x: Tensor, noise: Noise, at: At, *, others: Tensor | None
) -> dict[str, Tensor]:
    """Take one step on images x (B, C, H, W) in [0, 1]; return means over the batch, by name.

    others: a second batch, for an objective with parameters of its own.
    """
    model, objective = state.model, state.objective
    state.step += 1
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16"):
        terms = objective.terms(model, x, noise, at)
        loss = objective.loss(terms)
        adversary_loss = None if others is None else objective.adversary_loss(model, x, others, noise, at)

    learning_rate, count = settings.learning_rate, state.step
    if settings.drop_after is not None and count > settings.drop_after:
        learning_rate *= DROP
        if settings.drop_moments == "fresh":
            count -= settings.drop_after
            if count == 1:
                state.clear_moments()
    _step_adam(state, model, "", loss, learning_rate=learning_rate, count=count)
    if adversary_loss is not None:
        _step_adam(
            state,
            objective,
            "objective.",
            adversary_loss,
            learning_rate=objective.adversary_learning_rate,
            count=state.step,
            betas=objective.adversary_betas,
        )

    means = {"loss": loss / len(x), "rate": terms.rate.mean(), "distortion": terms.distortion.mean()}
    means |= {name: term.mean() for name, term in terms.added.items()}
    return {name: mean.detach() for name, mean in means.items()}


def _step_adam(
    state: TrainState,
    module: nn.Module,
    prefix: str,
    loss: Tensor,
    *,
    learning_rate: float,
    count: int,
    betas: tuple[float, float] = BETAS,
) -> None:
    """Take a step of Adam on a module's parameters, the count-th of theirs.

    Their moments are named adam.<prefix><name>.<moment>.
    """
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    exp_avgs, exp_avg_sqs = ([state.moments[f"adam.{prefix}{name}.{moment}"] for name in names] for moment in MOMENTS)
    step_adam(
        parameters,
        gradients,
        exp_avgs,
        exp_avg_sqs,
        count=torch.tensor(float(count), device=loss.device),
        learning_rate=torch.tensor(learning_rate, device=loss.device),
        betas=betas,
    )


def _list_noises(member: Member, num_images: int, device: torch.device) -> Iterator[Noise]:
    """Yield the noise of each batch of the member's next epoch."""
    batch_size = member.settings.batch_size
    if member.stream is not None:  # made by member.shuffle, with randomness: report
        for first in range(0, num_images, batch_size):
            yield BatchNoise(*member.stream.draw_noise(min(batch_size, num_images - first)))
        return
    key = make_key(member.settings.seed, "noise", member.epoch + 1)
    (row_keys,) = make_row_keys([key], num_images).to(device)  # (num_images,)
    yield from map(CounterNoise, row_keys.split(batch_size))


class AutogradTrainer:
    """A `Trainer` that trains its members one after the other, each by autograd."""

    def __init__(
        self,
        settings: TrialSettings,
        image_shape: ImageShape,
        *,
        capacity: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        """settings: those of a first member; only trials of the same model are admitted."""
        self._parts, self.image_shape = settings.parts, image_shape
        self.capacity, self.device = capacity, torch.device(device)
        self.members: list[Member] = []
        self._states: list[TrainState] = []

    def admits(self, settings: TrialSettings) -> bool:
        """Whether a trial has the same model. Its other settings are free, as members share nothing but the images."""
        return settings.parts == self._parts

    def add(self, settings: TrialSettings, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Add a trial as the last member; its tensors are copied.

        Raises:
            ValueError: the trainer is full, the trial has another model, or the device lacks its precision or noise.
        """
        if len(self.members) == self.capacity:
            raise ValueError("the trainer has no room for this trial")
        if not self.admits(settings):
            raise ValueError("the trial is of another model than the trainer's")
        if not has_precision(settings.precision, self.device):
            raise ValueError(f"precision: this processor cannot compute in {settings.precision}; use float32")
        if settings.randomness == "report" and self.device.type != "cpu":
            raise ValueError(NOT_ON_A_GPU)
        state = init_state(settings, self.image_shape, self.device, is_drawn=False)
        state.load(tensors, epoch=epoch, step=step)
        state.model.train()
        self.members.append(Member(settings, epoch, step))
        self._states.append(state)

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors that have the names and shapes of `TrainState.tensors`."""
        for name, tensor in self._states[index].tensors().items():
            tensors[name].copy_(tensor)

    def remove(self, index: int) -> None:
        """Release a member; the last member takes its number."""
        self.members[index], self._states[index] = self.members[-1], self._states[-1]
        self.members.pop()
        self._states.pop()

    def resize(self, capacity: int) -> None:
        """Change the number of members that there is room for.

        Raises:
            ValueError: there are more members than the new capacity.
        """
        if capacity < len(self.members):
            raise ValueError(f"{len(self.members)} members do not fit into {capacity} slots")
        self.capacity = capacity

    def fit_epoch(self, images: ImageBytes) -> list[EpochMetrics | DivergedError]:
        """Train every member for an epoch. images: (N, C, H, W) uint8, on the trainer's device."""
        with computing():
            outcomes = []
            for member, state in zip(self.members, self._states, strict=True):
                with multiplying(member.settings.precision):
                    outcomes.append(_fit_epoch(member, state, images))
            return outcomes
