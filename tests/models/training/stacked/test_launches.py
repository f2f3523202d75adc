"""How many kernels a step of a stack launches on a GPU, counted on the CPU."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.training.stacked import linear as stacked_linear
from models.training.stacked import stack as fused
from models.training.stacked.stack import Stack
from models.training.state import init_state
from tests.models.cases import SMALL, make_images, make_settings

MOST = 60
"""Launches of a step of 64 models with one hidden layer."""

FREE = {"aten.empty", "aten.detach", "aten.lift_fresh", "aten.alias"}
"""Operations that launch nothing, besides views."""

TWO = {"aten.baddbmm"}
"""On a GPU a copy of the bias to where the product is then added."""


class Launches(TorchDispatchMode):
    """Counts by name the operators that reach a device, and each region that a GPU's compiler makes a kernel as one."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._is_inside = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if not self._is_inside and not is_view and name not in FREE:
            self.counts[name] += 2 if name in TWO else 1
        return func(*args, **(kwargs or {}))

    def as_region(self, function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
        """What to put in the place of `compile_elementwise`."""

        def region(*args: Any, **kwargs: Any) -> Any:
            self.counts[f"compiled {function.__name__}"] += 1
            self._is_inside = True
            try:
                return function(*args, **kwargs)
            finally:
                self._is_inside = False

        return region


def count_launches(
    num_models: int, monkeypatch: pytest.MonkeyPatch, *, num_steps: int = 1, **changes: Any
) -> Counter[str]:
    """Of an epoch of so many steps, by operator."""
    launches = Launches()
    for module in (fused, stacked_linear):
        monkeypatch.setattr(module, "compile_elementwise", launches.as_region)
    settings = make_settings("vsc_exp_relu", batch_size=8, **changes)
    stack = Stack(settings, SMALL, settings.latent_dim, capacity=num_models, is_batched=True)
    for _ in range(num_models):
        stack.add(settings, init_state(settings, SMALL).tensors(), epoch=0, step=0)
    with launches:
        stack.fit_epoch(make_images(8 * num_steps, SMALL))
    return launches.counts


def count_launches_of_a_step(num_models: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Counter[str]:
    """Of each step after the first, so without what an epoch takes once."""
    two, one = (count_launches(num_models, monkeypatch, num_steps=n, **changes) for n in (2, 1))
    two.subtract(one)
    return +two


def test_a_step_of_64_models_launches_at_most_60_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: every dispatched operator that is no view and no allocation, `baddbmm` as two.

    What `compile_elementwise` compiles on a GPU counts as one kernel for each call, which is what the compiler is given
    it for; `test_compiled` counts what the compiler makes of them here, and `make gpu` (bench, torch's profiler) what a
    GPU launches. Widths do not enter, so the models are small.
    """
    counts = count_launches_of_a_step(64, monkeypatch)
    print(f"\nlaunches of a step of 64 models: {counts.total()}")
    for name, count in sorted(counts.items()):
        print(f"  {count:2d} {name}")
    assert counts["compiled step_models"] == 12  # of four layers, each weight's in halves
    assert counts["aten._fused_adam_"] == 0
    assert counts.total() <= MOST


def test_it_is_as_many_however_many_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_launches_of_a_step(6, monkeypatch) == count_launches_of_a_step(64, monkeypatch)


@pytest.mark.parametrize("changes", [{"hidden": (16, 8)}, {"pixel_scaling": "unit_norm"}])
def test_a_layer_more_on_either_side_adds_two_layers_and_other_pixels_nothing(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, other = (count_launches_of_a_step(4, monkeypatch, **given) for given in ({}, changes))
    layers = 2 if "hidden" in changes else 0
    assert other["compiled step_models"] - usual["compiled step_models"] == 3 * layers
    assert other["aten.bmm"] - usual["aten.bmm"] == 3 * layers
    assert (other.total() > usual.total()) == bool(layers)


@pytest.mark.parametrize(
    "changes",
    [
        {"estimator": "straight_through"},
        {"estimator": "disarm"},
        {"kl_from": "logits"},
        {"activation": "tanh"},
        {"binarisation": "dynamic"},
    ],
)
def test_other_settings_of_the_step_keep_to_the_limit(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    total = count_launches_of_a_step(4, monkeypatch, **changes).total()
    print(f"\nlaunches of a step with {changes}: {total}")
    assert total <= MOST
