"""The parameters of a stack's members, with Adam's moments and each member's coefficients."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from models.choices import Precision
from models.networks.widths import list_widths
from models.setting import MIN_PROB
from models.settings import TrialSettings
from models.training.stacked.gradients import Coefficients
from models.training.stacked.linear import StackedLinear, count_half, resize_rows


class StackedParameters:
    """Encoders and decoders side by side, one model in each slot, padded to the same heads and latents."""

    def __init__(
        self,
        num_pixels: int,
        hidden: tuple[int, ...],
        latent_dim: int,
        num_heads: int,
        *,
        capacity: int,
        precision: Precision,
        is_batched: bool,
        device: torch.device,
    ) -> None:
        self.latent_dim, self.num_heads, self.capacity = latent_dim, num_heads, capacity
        self._has_scratch, self._device = is_batched and precision != "bf16", device
        like: dict[str, Any] = {"capacity": capacity, "precision": precision, "is_batched": is_batched}
        self.encoder, self.decoder = (
            [StackedLinear(*shape, **like, device=device) for shape in pairwise(widths)]
            for widths in list_widths(num_pixels, hidden, latent_dim, num_heads)
        )
        self.rows = {
            "count": torch.zeros(capacity, device=device),  # steps of Adam
            "learning_rate": torch.zeros(capacity, device=device),
            "log_slab": torch.zeros(capacity, 1, 1, device=device),
            "log_spike": torch.zeros(capacity, 1, 1, device=device),
            "beta": torch.zeros(capacity, 1, 1, device=device),
            "is_dense": torch.ones(capacity, 1, 1, dtype=torch.bool, device=device),
            "is_padding": torch.ones(capacity, 1, latent_dim, dtype=torch.bool, device=device),
        }
        self._make_views()

    @property
    def layers(self) -> list[StackedLinear]:
        """All layers, from the encoder's first to the decoder's last."""
        return [*self.encoder, *self.decoder]

    def _make_views(self) -> None:
        """Make the scalars that each slot's Adam takes, and the room for gradients that all layers share."""
        if self._has_scratch:
            largest = count_half(self.capacity) * max(layer.tensors["weight"][0].numel() for layer in self.layers)
            for layer in self.layers:
                layer.scratch = None  # freed before the new room is taken
            scratch = torch.empty(largest, device=self._device)
            for layer in self.layers:
                layer.scratch = scratch
        self.counts, self.learning_rates = (list(self.rows[name].unbind()) for name in ("count", "learning_rate"))

    def resize(self, capacity: int) -> None:
        """Change the number of slots; the first ones keep their contents."""
        self.capacity = capacity
        for layer in self.layers:
            layer.resize(capacity)
        self.rows = {name: resize_rows(rows, capacity) for name, rows in self.rows.items()}
        self._make_views()

    def fill(self, slot: int, settings: TrialSettings, tensors: Mapping[str, Tensor], *, step: int) -> None:
        """Copy a trial's state into a slot. tensors: those of `TrainState.tensors`."""
        for layer in self.layers:
            for stacked in layer.tensors.values():
                stacked[slot].zero_()
        for name, tensor in tensors.items():
            target = self._find(name, slot, settings)
            target.copy_(tensor.view(target.shape))
        alpha = torch.tensor(settings.alpha or 0.5).clamp(MIN_PROB, 1 - MIN_PROB)
        values: dict[str, Any] = {
            "count": step,
            "learning_rate": settings.learning_rate,
            "log_slab": alpha.log(),
            "log_spike": torch.log1p(-alpha),
            "beta": settings.beta,
            "is_dense": settings.alpha is None,
            "is_padding": torch.arange(self.latent_dim) >= settings.latent_dim,
        }
        for name, value in values.items():
            self.rows[name][slot] = value

    def read(self, slot: int, settings: TrialSettings, tensors: Mapping[str, Tensor]) -> None:
        """Copy the state in a slot into tensors that have the names and shapes of `TrainState.tensors`."""
        for name, tensor in tensors.items():
            source = self._find(name, slot, settings)
            tensor.view(source.shape).copy_(source)

    def move(self, source: int, target: int) -> None:
        """Copy everything in one slot to another."""
        stacked = [tensor for layer in self.layers for tensor in layer.tensors.values()]
        for tensor in (*stacked, *self.rows.values()):
            tensor[target].copy_(tensor[source])

    def _find(self, name: str, slot: int, settings: TrialSettings) -> Tensor:
        """Return the part of a stacked tensor that holds a member's tensor of this name; the rest is padding."""
        _, half, _, index, *rest = name.split(".")  # such as adam, encoder, layers, 0, weight, exp_avg
        layer = (self.encoder if half == "encoder" else self.decoder)[int(index)]
        tensor = layer.tensors[".".join(reversed(rest))][slot]
        if layer is self.encoder[-1]:
            heads = tensor.view(self.num_heads, self.latent_dim, *tensor.shape[1:])
            return heads[: settings.parts.num_heads, : settings.latent_dim]
        if layer is self.decoder[0] and rest[0] == "weight":
            return tensor[:, : settings.latent_dim]
        return tensor

    def view_coefficients(self, slots: range) -> Coefficients:
        """Return the coefficients of the models in some slots."""
        at = slice(slots.start, slots.stop)
        return Coefficients(*(self.rows[name][at] for name in Coefficients._fields))
