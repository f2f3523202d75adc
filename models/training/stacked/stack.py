"""Several models of one shape trained as one: stacked parameters, batched products, gradients written out by hand.

A trial that trains alone is a stack of one. Settings in which members differ are a vector over the members (learning
rate, alpha, beta, sharpness, seed) or are padded (number of latents; a VAE among VSCs pads gamma). Members join and
leave between epochs. A member's noise and batch order depend on its settings only, not on other members or its slot.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.choices import Activation, Estimator, GammaLink, ImageShape, KlFrom, Parts, PixelScaling, Precision
from models.numerics.adam import StepSizes, count_step
from models.numerics.computing import computing
from models.numerics.precision import has_precision, multiplying
from models.numerics.recording import is_same_memory
from models.pixels import ImageBytes, binarise, to_pixels, to_rows, unpack
from models.randomness import ROW_STEP, draw_noise, make_key, make_offsets, make_row_keys
from models.setting import MIN_PROB
from models.settings import TrialSettings
from models.training.sharpness import compute_sharpness
from models.training.stacked.cuda_graph import Plan, StepGraph, compile_elementwise
from models.training.stacked.gradients import (
    ESTIMATORS,
    Coefficients,
    PairSlope,
    compare_pixels,
    find_heads_gradient,
    pass_activation,
    sample_codes,
)
from models.training.stacked.linear import StackedLinear
from models.training.stacked.parameters import StackedParameters
from models.training.trainer import NOT_ON_A_GPU, DivergedError, EpochMetrics, Member

PREPARED_STEPS = 8
"""Steps whose pixels and noise are made at once, in fewer and longer operations."""

STACKABLE = (Parts("gaussian", 2, "elbo"), Parts("spike_and_slab", 3, "elbo"))
"""Models whose gradients are written out in `gradients.py`."""


def gather_pixels(
    images: Tensor,  # (N, P) uint8, or (N, P / 8), packed
    order: Tensor,  # (K, B) int64, indices of images
    keys: Tensor | None,
    offsets: Tensor,
    scaling: PixelScaling,
) -> Tensor:  # (K, B, P)
    """The pixels of some images for each model. keys, offsets: see `prepare_pixels`."""
    return prepare_pixels(images.index_select(0, order.flatten()), order, keys, offsets, scaling)


def prepare_pixels(
    rows: Tensor,  # (K B, P) uint8, or (K B, P / 8), packed
    order: Tensor,  # (K, B) int64, indices of images
    keys: Tensor | None,  # (K, 1) int64, that binarise each model's images; None: they stay grey
    offsets: Tensor,  # (P,) int64, of the pixels; made outside, as a compiler chooses how to count in a range
    scaling: PixelScaling,
) -> Tensor:  # (K, B, P)
    """The pixels of images that have been read."""
    if rows.shape[1] < len(offsets):
        rows = unpack(rows)
    pixels = to_pixels(rows.view(*order.shape, len(offsets)), scaling)
    if keys is None:
        return pixels
    # Rows as in make_row_keys: products of int64 that are read from memory wrap around when compiled, too.
    return binarise(pixels, (keys + order * ROW_STEP).unsqueeze(-1) + offsets)


def average_terms(rate: Tensor, distortion: Tensor) -> Tensor:  # twice (K, B) -> (K, 2)
    """Means over the batch."""
    return torch.stack([rate.mean(1), distortion.mean(1)], 1)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The settings that all members of a stack share."""

    hidden: tuple[int, ...]
    activation: Activation
    batch_size: int
    images_per_epoch: int
    precision: Precision
    pixel_scaling: PixelScaling
    is_binary: bool  # whether pixels are binarised, which static and dynamic keys do alike
    gamma_link: GammaLink | None  # None: no member has a spike
    gamma_clamp: float | None  # None: no member has a spike
    kl_from: KlFrom | None  # None: no member has a spike
    estimator: Estimator | None  # None: no member has a spike

    @classmethod
    def of(cls, settings: TrialSettings) -> "Shared":
        """Take the shared settings from those of a trial."""
        return cls(
            hidden=settings.hidden,
            activation=settings.activation,
            batch_size=settings.batch_size,
            images_per_epoch=settings.images_per_epoch,
            precision=settings.precision,
            pixel_scaling=settings.pixel_scaling,
            is_binary=settings.binarisation != "none",
            gamma_link=settings.gamma_link,
            gamma_clamp=settings.gamma_clamp,
            kl_from=settings.kl_from,
            estimator=settings.estimator,
        )

    def fits(self, settings: TrialSettings) -> bool:
        """Whether a trial with these settings can be a member. One without a spike can, even among VSCs."""
        shared = Shared.of(settings)
        if shared.gamma_link is None:
            of_gates = {name: getattr(self, name) for name in ("gamma_link", "gamma_clamp", "kl_from", "estimator")}
            shared = replace(shared, **of_gates)
        return shared == self


class Stack:
    """A `Trainer` of up to `capacity` fully connected VAEs and VSCs that share a shape."""

    def __init__(
        self,
        settings: TrialSettings,
        image_shape: ImageShape,
        latent_dim: int,
        *,
        capacity: int = 1,
        device: torch.device | str = "cpu",
        is_batched: bool | None = None,
    ) -> None:
        """settings: those of a first member. latent_dim: the largest that a member may have; smaller ones are padded.

        is_batched: whether members train together in each step, the default on a GPU, or one after the other, the
        default on a CPU, where the products of one member fill a core.

        Raises:
            ValueError: the processor cannot compute in the precision that the settings ask for.
        """
        if not has_precision(settings.precision, torch.device(device)):
            raise ValueError(f"precision: this processor cannot compute in {settings.precision}; use float32")
        self.shared, self.latent_dim, self.capacity = Shared.of(settings), latent_dim, capacity
        self.device = torch.device(device)
        self.is_batched = self.device.type != "cpu" if is_batched is None else is_batched
        self.members: list[Member] = []
        self._num_pixels = prod(image_shape)
        self.parameters = StackedParameters(
            self._num_pixels,
            settings.hidden,
            latent_dim,
            settings.parts.num_heads,
            capacity=capacity,
            precision=settings.precision,
            is_batched=self.is_batched,
            device=self.device,
        )
        self._offsets = make_offsets(latent_dim, self.device)
        self._pixel_offsets = make_offsets(self._num_pixels, self.device)
        self._graph: StepGraph | None = None
        self._to_pixels = compile_elementwise(gather_pixels, self.device)
        self._draw = compile_elementwise(draw_noise, self.device)
        self._sample = compile_elementwise(sample_codes, self.device)
        self._compare = compile_elementwise(compare_pixels, self.device)
        self._to_heads = compile_elementwise(find_heads_gradient, self.device)
        self._count_step = compile_elementwise(count_step, self.device)
        self._average = compile_elementwise(average_terms, self.device)

    # Members

    @staticmethod
    def can_train(settings: TrialSettings) -> bool:
        """Whether a stack can train a trial: the gradients of its model are written out."""
        has_gradients = settings.parts in STACKABLE and settings.estimator in (None, *ESTIMATORS)
        return has_gradients and settings.network == "mlp" and settings.likelihood == "bernoulli"

    def admits(self, settings: TrialSettings) -> bool:
        """Whether a trial with these settings can be a member, if there is room.

        Members that train one after the other have the same number of latents, so that each has the bits it has alone.
        """
        if self.is_batched:
            return self.can_train(settings) and self.shared.fits(settings) and settings.latent_dim <= self.latent_dim
        alike = self.can_train(settings) and self.shared == Shared.of(settings)
        return alike and settings.latent_dim == self.latent_dim

    def add(self, settings: TrialSettings, tensors: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Add a trial as the last member; its tensors are copied.

        Raises:
            ValueError: the stack is full, the trial has another shape or more latents, or the trial has
                `randomness: report` but members train together.
        """
        if len(self.members) == self.capacity or settings.latent_dim > self.latent_dim:
            raise ValueError("the stack has no room for this trial")
        if not self.can_train(settings) or not self.shared.fits(settings):
            raise ValueError("the trial is of another shape than the stack")
        if settings.randomness == "report" and self.is_batched:
            raise ValueError(NOT_ON_A_GPU)
        self.parameters.fill(len(self.members), settings, tensors, step=step)
        self.members.append(Member(settings, epoch, step))

    def store(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy a member's state into tensors that have the names and shapes of `TrainState.tensors`."""
        self.parameters.read(index, self.members[index].settings, tensors)

    def remove(self, index: int) -> None:
        """Release a member; the last member takes its slot."""
        self.parameters.move(len(self.members) - 1, index)
        self.members[index] = self.members[-1]
        self.members.pop()

    def resize(self, capacity: int) -> None:
        """Change the number of slots.

        Raises:
            ValueError: there are more members than slots.
        """
        if capacity < len(self.members):
            raise ValueError(f"{len(self.members)} members do not fit into {capacity} slots")
        self.capacity = capacity
        self._graph = None  # it holds the old addresses of the tensors
        self.parameters.resize(capacity)

    # Training

    def fit_epoch(self, images: ImageBytes) -> list[EpochMetrics | DivergedError]:
        """Train every member for an epoch. images: (N, C, H, W) uint8, on the device of the stack."""
        started, rows = time.perf_counter(), to_rows(images)
        order = torch.stack([member.shuffle(len(images), self._num_pixels) for member in self.members])
        num_images = order.shape[1]
        num_steps = -(-num_images // self.shared.batch_size)
        keys = [make_key(member.settings.seed, "noise", member.epoch + 1) for member in self.members]
        row_keys = make_row_keys(keys, num_images)
        sharpness = torch.stack(
            [compute_sharpness(m.settings, m.step + torch.arange(num_steps), num_steps) for m in self.members]
        )
        pixel_keys = make_row_keys([member.pixel_key for member in self.members], 1).expand(-1, num_steps)
        totals = torch.empty(num_steps, len(self.members), 2, device=self.device)
        if self.is_batched:
            # Every slot trains, so that one graph serves; free slots take the first member's plan, which is harmless.
            filled = torch.arange(self.capacity).where(torch.arange(self.capacity) < len(self.members), 0)
            groups = [(range(self.capacity), filled)]
        else:
            groups = [(range(k, k + 1), torch.tensor([k])) for k in range(len(self.members))]
        # Gradients are written out; in inference mode each operation saves autograd's bookkeeping.
        with computing(), multiplying(self.shared.precision), torch.inference_mode():
            for slots, members in groups:
                plan = Plan(order[members], row_keys[members], sharpness[members].float(), pixel_keys[members])
                plan = plan.to(self.device)
                self._run_epoch(rows, slots, plan, totals[:, slots.start : slots.stop])
        totals = totals.cpu().double()  # this waits until the GPU is done
        seconds = (time.perf_counter() - started) / len(self.members)
        return [
            self._finish_epoch(member, totals[:, k], num_images, float(sharpness[k, -1]), seconds)
            for k, member in enumerate(self.members)
        ]

    def _finish_epoch(
        self, member: Member, totals: Tensor, num_images: int, sharpness: float, seconds: float
    ) -> EpochMetrics | DivergedError:
        """Count a member's epoch as done; return its metrics. totals: (steps, 2), rate and distortion by step."""
        means = member.finish_epoch(totals, num_images)
        if isinstance(means, DivergedError):
            return means
        rate, distortion = means
        return EpochMetrics(
            epoch=member.epoch,
            loss=member.settings.beta * rate + distortion,
            rate=rate,
            distortion=distortion,
            sharpness=None if member.settings.sharpness is None else sharpness,
            seconds=seconds,
        )

    def _draw_noise(self, slots: range, plan: Plan) -> tuple[Tensor, Tensor]:
        """Draw normal and uniform noise for a plan's images, each (K, images, D)."""
        stream = self.members[slots.start].stream
        if stream is None:
            return self._draw(plan.keys[..., None] + self._offsets)
        normal, uniform = stream.draw_noise(plan.order.shape[1])
        num_padding = self.latent_dim - normal.shape[1]
        return pad(normal, (0, num_padding))[None], pad(uniform, (0, num_padding))[None]

    def _run_epoch(self, images: ImageBytes, slots: range, plan: Plan, totals: Tensor) -> None:
        """Train for an epoch on rows of images. totals: (steps, members, 2), filled with rates and distortions."""
        train = partial(self._train, images, slots, self._view_coefficients(slots))
        size, done = self.shared.batch_size, 0
        if self.device.type == "cuda":
            assert isinstance(images, Tensor), "a card holds all images"
            if self._graph is None or not is_same_memory(self._graph.images, images):
                self._graph = StepGraph(images, len(slots), size)
            done = self._graph.run(train, plan, totals)
        if done == len(totals):  # else a smaller batch ends the epoch, or this is no GPU
            return
        num_members = totals.shape[1]
        buffer = torch.empty(len(totals) - done, len(slots), 2, device=self.device)
        train(plan.after(done, size), buffer)
        totals[done:] = buffer[:, :num_members]

    def _train(self, images: ImageBytes, slots: range, coefficients: Coefficients, plan: Plan, totals: Tensor) -> None:
        """Train the members in some slots by a plan. totals: (steps, K, 2), filled here.

        Pixels and noise, which depend on no parameter, are made for several steps at once if they fit into a cache.
        """
        size, step = self.shared.batch_size, 0
        for part in plan.split(size, 1 if self.is_batched else PREPARED_STEPS):
            keys = part.pixel_keys[:, :1] if self.shared.is_binary else None
            how = part.order, keys, self._pixel_offsets, self.shared.pixel_scaling
            if isinstance(images, Tensor):
                pixels = self._to_pixels(images, *how)
            else:
                pixels = prepare_pixels(images[part.order.flatten()].flatten(1), *how)
            noise = self._draw_noise(slots, part)
            inputs = (tensor.split(size, 1) for tensor in (pixels, *noise))
            for x, eps, eta, sharpness in zip(*inputs, part.sharpness.split(1, 1), strict=True):
                totals[step] = self._step(slots, coefficients, x, (eps, eta), sharpness[:, :, None])
                step += 1

    def _view_coefficients(self, slots: range) -> Coefficients:
        """Return the coefficients of some slots. A single slot gets masks only where they mask something."""
        coefficients = self.parameters.view_coefficients(slots)
        if self.is_batched:
            return coefficients
        settings = self.members[slots.start].settings
        return coefficients._replace(
            is_dense=coefficients.is_dense if settings.alpha is None else None,
            is_padding=coefficients.is_padding if settings.latent_dim < self.latent_dim else None,
        )

    def _step(
        self, slots: range, coefficients: Coefficients, x: Tensor, noise: tuple[Tensor, Tensor], sharpness: Tensor
    ) -> Tensor:
        """Take a step of the members in some slots on batches x (K, B, P) -> mean rate and distortion (K, 2)."""
        outputs, encoder_inputs = self._forward(self.parameters.encoder, x, slots)
        heads = outputs.view(*x.shape[:2], self.parameters.num_heads, self.latent_dim)
        estimator = self.shared.estimator or "relaxed"
        codes = self._sample(
            heads,
            noise,
            sharpness,
            coefficients,
            self.shared.gamma_link,
            gamma_clamp=MIN_PROB if self.shared.gamma_clamp is None else self.shared.gamma_clamp,
            kl_from=self.shared.kl_from or "gamma",
            estimator=estimator,
        )
        logits, decoder_inputs = self._forward(self.parameters.decoder, codes.z, slots)
        distortion, grad = self._compare(logits, x, is_pair=isinstance(codes.slope, PairSlope))

        # Gradients are of the sum over the batch: see Objective.loss.
        count, learning_rate = (
            self.parameters.rows[name][slots.start : slots.stop] for name in ("count", "learning_rate")
        )
        sizes = None
        if self.is_batched:
            sizes = self._count_step(count, learning_rate)
        else:
            count += 1
        grad = self._backward(self.parameters.decoder, grad, decoder_inputs, slots, sizes)
        grad = self._to_heads(codes, grad, distortion).flatten(2)
        self._backward(self.parameters.encoder, grad, encoder_inputs, slots, sizes)
        return self._average(codes.rate, distortion)

    def _forward(self, layers: list[StackedLinear], x: Tensor, slots: range) -> tuple[Tensor, list[Tensor]]:
        """Apply the layers to x, the activation between them; return the output and the inputs of each layer."""
        inputs = []
        for layer in layers:
            inputs.append(x)
            x = layer.forward(x, slots, activation=None if layer is layers[-1] else self.shared.activation)
        return x, inputs

    def _backward(
        self, layers: list[StackedLinear], grad: Tensor, inputs: list[Tensor], slots: range, sizes: StepSizes | None
    ) -> Tensor:
        """Update the layers, given the gradient by their output; return the gradient by their input."""
        for layer, x in zip(reversed(layers), reversed(inputs), strict=True):
            grad = layer.backward(
                grad,
                x,
                slots,
                counts=self.parameters.counts,
                learning_rates=self.parameters.learning_rates,
                sizes=sizes,
                to_inputs=layer is not self.parameters.encoder[0],  # nothing needs the gradient by images
            )
            if layer is not layers[0]:
                grad = pass_activation(self.shared.activation, grad, x)
        return grad
