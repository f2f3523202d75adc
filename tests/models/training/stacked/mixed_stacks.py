"""Stacks of unlike members, and what is taken out of them."""

from typing import Any

from models.choices import ImageShape
from models.settings import TrialSettings
from models.training.stacked.stack import Stack
from models.training.state import TrainState, init_state
from tests.models.cases import MIXED, VSC_ONLY


def make_mixed(**changes: Any) -> list[TrialSettings]:
    """Changes of what only a VSC has are made where there is one."""
    shared = {name: value for name, value in changes.items() if name not in VSC_ONLY}
    common: dict[str, Any] = {"hidden": (16,), "batch_size": 32, "epochs": 3}
    return [TrialSettings(**(common | one | (changes if one["model"] == "vsc" else shared))) for one in MIXED]


def make_stack(
    trials: list[TrialSettings],
    image_shape: ImageShape,
    *,
    latent_dim: int = 0,
    capacity: int = 0,
    is_batched: bool = False,
) -> Stack:
    """A stack with these members at their start."""
    spiked = next(s for s in trials if s.model == "vsc")
    latent_dim = latent_dim or max(s.latent_dim for s in trials)
    capacity = capacity or len(trials)
    stack = Stack(spiked, image_shape, latent_dim, capacity=capacity, is_batched=is_batched)
    for settings in trials:
        stack.add(settings, init_state(settings, image_shape).tensors(), epoch=0, step=0)
    return stack


def take(stack: Stack, index: int, image_shape: ImageShape) -> TrainState:
    """A member's state, apart from the stack."""
    member = stack.members[index]
    state = init_state(member.settings, image_shape)
    stack.store(index, state.tensors())
    state.epoch, state.step = member.epoch, member.step
    return state
