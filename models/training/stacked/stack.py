"""Many models of one shape trained as one: stacked parameters, batched products, gradients written out.

A trial that trains alone is a stack of one. What differs between the members of a stack is a vector over them (learning
rate, alpha, beta, sharpness, seed) or is padded (the number of latents; a VAE beside VSCs pads gamma). Members join and
leave between epochs. A member's noise and batch order depend on its own settings only: neither its neighbours nor its
place change its numbers.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.latents.distributions import MIN_PROB
from models.numerics.measuring import computing
from models.numerics.onednn import has_bf16
from models.pixels import to_pixels
from models.randomness import draw_noise, make_key, make_offsets, make_row_keys, make_stream
from models.settings import GammaLink, PixelScaling, Precision, TrialSettings
from models.training.report_stream import ReportStream
from models.training.schedules import compute_sharpness
from models.training.stacked.cuda_graph import Plan, StepGraph, compile_elementwise
from models.training.stacked.gradients import Terms, compare_pixels, find_heads_gradient, sample_codes
from models.training.stacked.linear import StackedLinear, count_half, resize_rows
from models.training.trainer import DivergedError, EpochMetrics, Member

PREPARED_STEPS = 8
"""For so many steps pixels and noise are made at once, which takes fewer and longer operations."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the members of a stack have in common."""

    num_pixels: int
    hidden: tuple[int, ...]
    batch_size: int
    precision: Precision
    pixel_scaling: PixelScaling
    gamma_link: GammaLink | None  # None: VAEs only
    gamma_clamp: float | None  # likewise

    @classmethod
    def of(cls, settings: TrialSettings, num_pixels: int) -> "Family":
        """The family in which a trial trains alone."""
        return cls(
            num_pixels=num_pixels,
            hidden=settings.hidden,
            batch_size=settings.batch_size,
            precision=settings.precision,
            pixel_scaling=settings.pixel_scaling,
            gamma_link=settings.gamma_link,
            gamma_clamp=settings.gamma_clamp,
        )

    def admits(self, settings: TrialSettings) -> bool:
        """Whether such a trial can be a member. A VAE can be one among VSCs, which cost it a third head."""
        own = Family.of(settings, self.num_pixels)
        if own.gamma_link is None:
            own = replace(own, gamma_link=self.gamma_link, gamma_clamp=self.gamma_clamp)
        return own == self


class Stack:
    """Up to `capacity` fully connected VAEs and VSCs of one family. Members are numbered in the order of `members`."""

    def __init__(
        self,
        family: Family,
        latent_dim: int,
        *,
        capacity: int = 1,
        device: torch.device | str = "cpu",
        is_batched: bool | None = None,
    ) -> None:
        """latent_dim: the most that a member can have; members with fewer are padded.

        is_batched: whether a step is one of all members together, as on a GPU, or of one after the other, as on the
        CPU, where the products of one fill a core.

        Raises:
            ValueError: the processor cannot compute in the family's precision.
        """
        if family.precision == "bf16" and not has_bf16(torch.device(device)):
            raise ValueError("precision: this processor cannot compute in bf16; use float32")
        self.family, self.latent_dim, self.capacity = family, latent_dim, capacity
        self.device = torch.device(device)
        self.is_batched = self.device.type != "cpu" if is_batched is None else is_batched
        self.members: list[Member] = []
        self.num_heads = 2 if family.gamma_link is None else 3
        encoder = [family.num_pixels, *family.hidden, self.num_heads * latent_dim]
        decoder = [latent_dim, *reversed(family.hidden), family.num_pixels]
        like: dict[str, Any] = {"capacity": capacity, "precision": family.precision}
        like |= {"is_batched": self.is_batched, "device": self.device}
        self._encoder = [StackedLinear(*shape, **like) for shape in pairwise(encoder)]
        self._decoder = [StackedLinear(*shape, **like) for shape in pairwise(decoder)]
        like = {"device": self.device}
        # A row for each place.
        self._rows = {
            "count": torch.zeros(capacity, **like),
            "learning_rate": torch.zeros(capacity, **like),
            "log_slab": torch.zeros(capacity, 1, 1, **like),
            "log_spike": torch.zeros(capacity, 1, 1, **like),
            "beta": torch.zeros(capacity, 1, 1, **like),
            "is_dense": torch.ones(capacity, 1, 1, dtype=torch.bool, **like),
            "is_padding": torch.ones(capacity, 1, latent_dim, dtype=torch.bool, **like),
        }
        self._make_views()
        self._offsets = make_offsets(latent_dim, self.device)
        self._graph: StepGraph | None = None
        self._draw, self._sample = draw_noise, sample_codes
        self._compare, self._to_heads = compare_pixels, find_heads_gradient
        if self.device.type == "cuda":
            self._draw = compile_elementwise(draw_noise)
            self._sample = compile_elementwise(sample_codes)
            self._compare = compile_elementwise(compare_pixels)
            self._to_heads = compile_elementwise(find_heads_gradient)

    def _make_views(self) -> None:
        """The scalars that each member's Adam takes, and the room for gradients that the layers share, made once."""
        layers = (*self._encoder, *self._decoder)
        if self.is_batched and self.family.precision == "float32":
            largest = count_half(self.capacity) * max(layer.tensors["weight"][0].numel() for layer in layers)
            for layer in layers:
                layer.scratch = None
            scratch = torch.empty(largest, device=self.device)
            for layer in layers:
                layer.scratch = scratch
        self._counts, self._learning_rates = (list(self._rows[name].unbind()) for name in ("count", "learning_rate"))

    def resize(self, capacity: int) -> None:
        """Make room for more members, or for fewer.

        Raises:
            ValueError: there are more members than that.
        """
        if capacity < len(self.members):
            raise ValueError(f"{len(self.members)} members do not fit into {capacity} places")
        self.capacity = capacity
        self._graph = None  # it knows where the tensors were
        for layer in (*self._encoder, *self._decoder):
            layer.resize(capacity)
        self._rows = {name: resize_rows(rows, capacity) for name, rows in self._rows.items()}
        self._make_views()

    # Members

    def add(self, settings: TrialSettings, tensors: dict[str, Tensor], *, epoch: int, step: int) -> None:
        """Take a trial in, as the last member. tensors: what TrainState.tensors() returns; they are copied.

        Raises:
            ValueError: the stack is full, or the trial is of another family or wider, or draws as the report's code did
                while the members are trained together.
        """
        if len(self.members) == self.capacity or settings.latent_dim > self.latent_dim:
            raise ValueError("the stack has no room for this trial")
        if not self.family.admits(settings):
            raise ValueError("the trial is of another family than the stack")
        if settings.randomness == "report" and self.is_batched:
            raise ValueError(
                "randomness: the report's numbers are drawn on the CPU; set gpu: 0, or randomness: counter"
            )
        slot = len(self.members)
        self.members.append(Member(settings, epoch, step))
        for layer in (*self._encoder, *self._decoder):
            for stacked in layer.tensors.values():
                stacked[slot].zero_()
        for name, tensor in tensors.items():
            place = self._find_place(name, slot)
            place.copy_(tensor.view(place.shape))
        alpha = torch.tensor(settings.alpha or 0.5).clamp(MIN_PROB, 1 - MIN_PROB)
        values: dict[str, Any] = {
            "count": step,
            "learning_rate": settings.learning_rate,
            "log_slab": alpha.log(),
            "log_spike": torch.log1p(-alpha),
            "beta": settings.beta,
            "is_dense": settings.model != "vsc",
            "is_padding": torch.arange(self.latent_dim) >= settings.latent_dim,
        }
        for name, value in values.items():
            self._rows[name][slot] = value

    def store(self, index: int, tensors: dict[str, Tensor]) -> None:
        """Copy a member's parameters and moments into tensors named and shaped as TrainState.tensors()."""
        for name, tensor in tensors.items():
            place = self._find_place(name, index)
            tensor.view(place.shape).copy_(place)

    def remove(self, index: int) -> None:
        """Let a member go; the last one takes its place."""
        last = len(self.members) - 1
        layers = [stacked for layer in (*self._encoder, *self._decoder) for stacked in layer.tensors.values()]
        for stacked in (*layers, *self._rows.values()):
            stacked[index].copy_(stacked[last])
        self.members[index] = self.members[last]
        self.members.pop()

    def _find_place(self, name: str, slot: int) -> Tensor:
        """The part of a stacked tensor that a member's own, named as in TrainState.tensors(), fills; the rest pads."""
        settings = self.members[slot].settings
        _, half, _, index, *rest = name.split(".")  # such as adam, encoder, layers, 0, weight, exp_avg
        layer = (self._encoder if half == "encoder" else self._decoder)[int(index)]
        tensor = layer.tensors[".".join(reversed(rest))][slot]
        if layer is self._encoder[-1]:
            own_heads = 3 if settings.model == "vsc" else 2
            return tensor.view(self.num_heads, self.latent_dim, *tensor.shape[1:])[:own_heads, : settings.latent_dim]
        if layer is self._decoder[0] and rest[0] == "weight":
            return tensor[:, : settings.latent_dim]
        return tensor

    # Training

    def fit_epoch(self, images: Tensor) -> list[EpochMetrics | DivergedError]:
        """Train every member for an epoch. A member that diverged is of no further use, and harms no other.

        images: (N, pixels) uint8, on the device of the stack.
        """
        started = time.perf_counter()
        num_images, batch_size = len(images), self.family.batch_size
        num_steps = -(-num_images // batch_size)
        seeds = [(member.settings.seed, member.epoch + 1) for member in self.members]
        order = torch.stack([self._shuffle(member, num_images) for member in self.members])
        keys = make_row_keys([make_key(seed, "noise", epoch) for seed, epoch in seeds], num_images)
        sharpness = torch.stack(
            [compute_sharpness(m.settings, m.step + torch.arange(num_steps), num_steps) for m in self.members]
        )
        totals = torch.empty(num_steps, len(self.members), 2, device=self.device)
        if self.is_batched:
            # Always of the whole stack, so that one graph serves; what the free places do is of no use, and no harm.
            slots = torch.arange(self.capacity).where(torch.arange(self.capacity) < len(self.members), 0)
            groups = [(range(self.capacity), slots)]
        else:
            groups = [(range(k, k + 1), torch.tensor([k])) for k in range(len(self.members))]
        # Autograd has nothing to do here, and without it an operation costs less than its bookkeeping did.
        with computing(), torch.inference_mode():
            for places, slots in groups:
                plan = Plan(order[slots], keys[slots], sharpness[slots].float()).to(self.device)
                self._run_epoch(images, places, plan, totals[:, places.start : places.stop])
        totals = totals.cpu().double()  # which waits until a GPU has done its work
        seconds = (time.perf_counter() - started) / len(self.members)
        return self._conclude(totals, num_images, sharpness, seconds)

    def _shuffle(self, member: Member, num_images: int) -> Tensor:
        """The order of the images in a member's next epoch, on the CPU wherever they are: the same on every device."""
        if member.settings.randomness == "report":
            if member.stream is None:
                member.stream = ReportStream(member.settings, self.family.num_pixels, num_images, epoch=member.epoch)
            return member.stream.shuffle()
        stream = make_stream(member.settings.seed, "order", member.epoch + 1)
        return torch.randperm(num_images, generator=stream)

    def _draw_noise(self, places: range, plan: Plan) -> tuple[Tensor, Tensor]:
        """Normal and uniform noise for some steps of the members in some places, each (K, images, D)."""
        stream = self.members[places.start].stream
        if stream is None:
            return self._draw(plan.keys[..., None] + self._offsets)
        normal, uniform = stream.draw_noise(plan.order.shape[1])
        num_padding = self.latent_dim - normal.shape[1]
        return pad(normal, (0, num_padding))[None], pad(uniform, (0, num_padding))[None]

    def _run_epoch(self, images: Tensor, places: range, plan: Plan, totals: Tensor) -> None:
        """totals: (steps, members, 2), to be filled with the mean rate and distortion of every step."""
        train = partial(self._train, images, places, self._view_terms(places))
        size, done = self.family.batch_size, 0
        if self.device.type == "cuda":
            if self._graph is None or self._graph.images is not images:
                self._graph = StepGraph(images, len(places), size)
            done = self._graph.run(train, plan, totals)
        if done == len(totals):
            return
        num_members = totals.shape[1]
        buffer = torch.empty(len(totals) - done, len(places), 2, device=self.device)
        train(Plan(plan.order[:, done * size :], plan.keys[:, done * size :], plan.sharpness[:, done:]), buffer)
        totals[done:] = buffer[:, :num_members]

    def _train(self, images: Tensor, places: range, terms: Terms, plan: Plan, totals: Tensor) -> None:
        """Train the members in some places by a plan; totals: (steps, K, 2), to be filled.

        What depends on no parameter is made for several steps at once, where that fits into a cache.
        """
        size, step = self.family.batch_size, 0
        for part in plan.split(size, 1 if self.is_batched else PREPARED_STEPS):
            x = images.index_select(0, part.order.flatten()).view(len(places), -1, images.shape[1])
            noise = self._draw_noise(places, part)
            inputs = (tensor.split(size, 1) for tensor in (to_pixels(x, self.family.pixel_scaling), *noise))
            for x, eps, eta, sharpness in zip(*inputs, part.sharpness.split(1, 1), strict=True):
                totals[step] = self._step(places, terms, x, (eps, eta), sharpness[:, :, None])
                step += 1

    def _view_terms(self, places: range) -> Terms:
        """Those of some places. What is computed one by one is masked only where there is something to mask."""
        at = slice(places.start, places.stop)
        terms = Terms(*(self._rows[name][at] for name in Terms._fields))
        if self.is_batched:
            return terms
        settings = self.members[places.start].settings
        return terms._replace(
            is_dense=terms.is_dense if settings.model != "vsc" else None,
            is_padding=terms.is_padding if settings.latent_dim < self.latent_dim else None,
        )

    def _step(self, places: range, terms: Terms, x: Tensor, noise: tuple[Tensor, Tensor], sharpness: Tensor) -> Tensor:
        """One step of the members in some places, each on its own batch x (K, B, P) -> mean rate, distortion (K, 2)."""
        outputs, encoder_inputs = self._apply(self._encoder, x, places)
        heads = outputs.view(*x.shape[:2], self.num_heads, self.latent_dim)
        clamp = MIN_PROB if self.family.gamma_clamp is None else self.family.gamma_clamp
        codes = self._sample(heads, noise, sharpness, terms, self.family.gamma_link, gamma_clamp=clamp)
        logits, decoder_inputs = self._apply(self._decoder, codes.z, places)
        distortion, grad = self._compare(logits, x)

        # The objective is summed over the batch, as in the report's code: Adam does not see the scale, but for its
        # epsilon, which weighs on the small gradients of latents that are almost always off.
        self._rows["count"][places.start : places.stop] += 1
        grad = self._go_back(self._decoder, grad, decoder_inputs, places)
        grad = self._to_heads(codes, grad).flatten(2)
        self._go_back(self._encoder, grad, encoder_inputs, places)
        return torch.stack([codes.rate.mean(1), distortion.mean(1)], 1)

    def _apply(self, layers: list[StackedLinear], x: Tensor, places: range) -> tuple[Tensor, list[Tensor]]:
        """What the layers make of x, with ReLU between them and none after the last, and what each was given."""
        inputs = []
        for layer in layers:
            inputs.append(x)
            x = layer.apply(x, places, relu=layer is not layers[-1])
        return x, inputs

    def _go_back(self, layers: list[StackedLinear], grad: Tensor, inputs: list[Tensor], places: range) -> Tensor:
        """Update the layers, given the gradient by what they made; returns that by what they were given."""
        for layer, x in zip(reversed(layers), reversed(inputs), strict=True):
            to_inputs = layer is not self._encoder[0]  # nothing depends on the images
            rates = {"counts": self._counts, "learning_rates": self._learning_rates}
            grad = layer.go_back(grad, x, places, **rates, to_inputs=to_inputs)
            if layer is not layers[0]:
                grad = torch.ops.aten.threshold_backward(grad, x, 0.0)  # where a rectified input is 0, nothing passes
        return grad

    def _conclude(
        self, totals: Tensor, num_images: int, sharpness: Tensor, seconds: float
    ) -> list[EpochMetrics | DivergedError]:
        num_steps, size = len(totals), self.family.batch_size
        weights = torch.tensor([min(size, num_images - i * size) / num_images for i in range(num_steps)]).double()
        outcomes: list[EpochMetrics | DivergedError] = []
        for k, member in enumerate(self.members):
            member.epoch += 1
            member.step += num_steps
            finite = totals[:, k].isfinite().all(1)
            if not finite.all():
                first = int((~finite).nonzero()[0])
                outcomes.append(DivergedError(member.epoch, member.step - num_steps + first + 1))
                continue
            rate, distortion = (weights @ totals[:, k]).tolist()
            outcomes.append(
                EpochMetrics(
                    epoch=member.epoch,
                    loss=member.settings.beta * rate + distortion,
                    rate=rate,
                    distortion=distortion,
                    sharpness=float(sharpness[k, -1]) if member.settings.model == "vsc" else None,
                    seconds=seconds,
                )
            )
        return outcomes
