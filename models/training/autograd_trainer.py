"""Training as textbooks describe it: for every batch the loss, its gradient by autograd, a step of Adam.

Read this file to learn how a model trains: an epoch, a step, the noise, then the trainer that keeps several trials.
Any model can train here, on any objective. The common ones have a faster trainer (`training/stacked`), whose numbers
are the same within rounding: a test trains both on the same noise.
"""

import math
import time
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from models.choices import ImageShape
from models.latents.latent import At
from models.numerics.adam import BETAS, step_adam
from models.numerics.computing import computing
from models.numerics.machine import is_fatal
from models.numerics.precision import choose_layout, has_precision, multiplying
from models.numerics.recording import is_same_memory
from models.pixels import ImageBytes, binarise, to_rows
from models.randomness import CounterNoise, Noise, make_key, make_offsets, make_row_keys
from models.settings import TrialSettings
from models.training.graphed_step import GraphedStep, Inputs
from models.training.reproduction_stream import BatchNoise
from models.training.sharpness import compute_sharpness
from models.training.state import MOMENTS, TrainState, init_state
from models.training.trainer import NOT_ON_A_GPU, DivergedError, EpochMetrics, EpochOutcome, Member

GRAPHED = ("cuda",)
"""The kinds of device on which steps are recorded and replayed."""

DROP = 0.1
"""Factor of the learning rate where it drops: `drop_after`."""


def _fit_epoch(
    member: Member, state: TrainState, images: ImageBytes, graphed: GraphedStep | None
) -> EpochMetrics | DivergedError:
    """Train for one epoch on images (N, C, H, W) uint8. graphed: takes the steps of whole batches, on a GPU."""
    started = time.perf_counter()
    settings, device = member.settings, images.device
    order = member.shuffle(len(images), math.prod(images.shape[1:])).to(device)
    second = order
    if state.objective.has_adversary:
        second = member.shuffle_second_batches(len(images)).to(device)
    (row_keys,) = make_row_keys([make_key(settings.seed, "noise", member.epoch + 1)], len(order)).to(device)
    (pixel_keys,) = make_row_keys([member.pixel_key], len(images)).to(device)  # (N,)
    num_steps = math.ceil(len(order) / settings.batch_size)
    sharpness = compute_sharpness(settings, member.step + torch.arange(num_steps), num_steps)
    on_device = sharpness.float().to(device)

    steps = []
    of_images = (order, second, row_keys, pixel_keys[order], pixel_keys[second])
    for i, parts in enumerate(zip(*(part.split(settings.batch_size) for part in of_images), strict=True)):
        learning_rate, count = _schedule_adam(state, settings)
        numbers = (torch.full((), float(value), device=device) for value in (learning_rate, count, state.step))
        inputs = Inputs._make([*parts, on_device[i], *numbers])
        noise = None
        if member.stream is not None:  # made by member.shuffle, with randomness: report
            noise = BatchNoise(*member.stream.draw_noise(len(inputs.batch)))
        step = partial(_step, state, settings, images, num_done=member.step + i, noise=noise)
        is_whole = len(inputs.batch) == settings.batch_size
        steps.append(graphed.run(step, inputs) if graphed is not None and is_whole else step(inputs))

    names = list(steps[0])
    values = torch.stack([torch.stack(list(step.values())) for step in steps])  # (num_steps, names)
    means = member.finish_epoch(values.cpu(), len(order))
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


def _schedule_adam(state: TrainState, settings: TrialSettings) -> tuple[float, int]:
    """Count a step; return its learning rate, and the number of steps since Adam's moments were zero."""
    state.step += 1
    learning_rate, count = settings.learning_rate, state.step
    if settings.drop_after is not None and count > settings.drop_after:
        learning_rate *= DROP
        if settings.drop_moments == "fresh":
            count -= settings.drop_after
            if count == 1:
                state.clear_moments()
    return learning_rate, count


def _step(
    state: TrainState,
    settings: TrialSettings,
    images: ImageBytes,
    inputs: Inputs,
    *,
    num_done: int,
    noise: Noise | None,
) -> dict[str, Tensor]:
    """Take one step on images (N, C, H, W) uint8; return means over the batch, by name.

    num_done: steps done before, over the run. noise: other than that of the images' keys.
    """
    model, objective = state.model, state.objective
    noise = noise or CounterNoise(inputs.row_keys)
    at = At(inputs.sharpness, num_done)
    x = _read_images(state, settings, images[inputs.batch], inputs.pixel_keys)
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16"):
        terms = objective.terms(model, x, noise, at)
        loss = objective.loss(terms)
        adversary_loss = None
        if objective.has_adversary:
            others = _read_images(state, settings, images[inputs.second], inputs.second_pixel_keys)
            adversary_loss = objective.adversary_loss(model, x, others, noise, at)
    _step_adam(state, model, "", loss, learning_rate=inputs.learning_rate, count=inputs.adam_step)
    if adversary_loss is not None:
        _step_adam(
            state,
            objective,
            "objective.",
            adversary_loss,
            learning_rate=torch.full_like(inputs.learning_rate, objective.adversary_learning_rate),
            count=inputs.adversary_step,
            betas=objective.adversary_betas,
        )

    means = {"loss": loss / len(x), "rate": terms.rate.mean(), "distortion": terms.distortion.mean()}
    means |= {name: term.mean() for name, term in terms.added.items()}
    return {name: mean.detach() for name, mean in means.items()}


def _read_images(state: TrainState, settings: TrialSettings, images: Tensor, keys: Tensor) -> Tensor:
    """Convert a batch (B, C, H, W) of uint8 to the pixels that the model trains on. keys: (B,), to binarise it by."""
    x = state.model.to_pixels(images)
    if settings.binarisation == "none":
        return x
    return binarise(x.flatten(1), keys[:, None] + make_offsets(x[0].numel(), x.device)).view_as(x)


def _step_adam(
    state: TrainState,
    module: nn.Module,
    prefix: str,
    loss: Tensor,
    *,
    learning_rate: Tensor,
    count: Tensor,
    betas: tuple[float, float] = BETAS,
) -> None:
    """Take a step of Adam on a module's parameters, the count-th of theirs.

    Their moments are named adam.<prefix><name>.<moment>.
    """
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = [_lay_out_as(p, g) for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)]
    exp_avgs, exp_avg_sqs = ([state.moments[f"adam.{prefix}{name}.{moment}"] for name in names] for moment in MOMENTS)
    step_adam(
        parameters,
        gradients,
        exp_avgs,
        exp_avg_sqs,
        count=count,
        learning_rate=learning_rate,
        betas=betas,
    )


def _lay_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with its numbers in memory in the order of the parameter's, as the fused kernel reads them.

    autograd returns them as they came: those of a filter with channels last otherwise, where maps are a single pixel.
    """
    same = gradient.stride() == parameter.stride()
    return gradient if same else torch.empty_like(parameter, requires_grad=False).copy_(gradient)


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
        self._graphed: list[GraphedStep | None] = []

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
        layout = choose_layout(settings.precision, self.device)
        state = init_state(settings, self.image_shape, self.device, is_drawn=False, layout=layout)
        state.load(tensors, epoch=epoch, step=step)
        state.model.train()
        self.members.append(Member(settings, epoch, step))
        self._states.append(state)
        self._graphed.append(None)

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors that have the names and shapes of `TrainState.tensors`."""
        for name, tensor in self._states[index].tensors().items():
            tensors[name].copy_(tensor)

    def remove(self, index: int) -> None:
        """Release a member; the last member takes its number."""
        last = len(self.members) - 1
        self.members[index], self._states[index] = self.members[last], self._states[last]
        self._graphed[index] = self._graphed[last]
        del self.members[last], self._states[last], self._graphed[last]

    def resize(self, capacity: int) -> None:
        """Change the number of members that there is room for.

        Raises:
            ValueError: there are more members than the new capacity.
        """
        if capacity < len(self.members):
            raise ValueError(f"{len(self.members)} members do not fit into {capacity} slots")
        self.capacity = capacity

    def fit_epoch(self, images: ImageBytes) -> list[EpochOutcome]:
        """Train every member for an epoch. images: (N, C, H, W) uint8, on the trainer's device."""
        with computing():
            return [self._fit_member(k, images) for k in range(len(self.members))]

    def _fit_member(self, k: int, images: ImageBytes) -> EpochOutcome:
        """Train a member for an epoch; an error in its step is the member's own, unless it is everyone's."""
        try:
            with multiplying(self.members[k].settings.precision):
                return _fit_epoch(self.members[k], self._states[k], images, self._find_graphed(k, images))
        except Exception as error:
            if is_fatal(error):
                raise
            return error

    def _find_graphed(self, k: int, images: ImageBytes) -> GraphedStep | None:
        """What takes a member's steps on a GPU, where its step is the same each time."""
        if self.device.type not in GRAPHED or self._states[k].has_schedule:
            return None
        graphed, rows = self._graphed[k], to_rows(images)
        assert isinstance(rows, Tensor), "a card holds all images"
        if graphed is None or not is_same_memory(graphed.images, rows):
            graphed = self._graphed[k] = GraphedStep(rows)
        return graphed
