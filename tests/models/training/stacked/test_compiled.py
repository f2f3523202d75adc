"""A batched stack with its regions compiled as on a GPU, for the processor at hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo
from torch._inductor import config as inductor_config
from torch._inductor import scheduler

from models.training.stacked import linear as stacked_linear
from models.training.stacked import stack as fused
from tests.models.cases import SMALL, get_loss, make_images
from tests.models.training.stacked.mixed_stacks import make_mixed, make_stack
from tests.models.training.stacked.test_launches import MOST, count_launches_of_a_step


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(
    "changes",
    [{}, {"pixel_scaling": "unit_norm", "estimator": "disarm"}, {"precision": "bf16"}, {"binarisation": "dynamic"}],
)
def test_compiled_a_stack_trains_as_it_does_uncompiled(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every region in one piece, with nothing that falls back: on a GPU that would go unseen, and be slow."""
    images, trials = make_images(96, SMALL), make_mixed(**changes)
    expected = make_stack(trials, SMALL, is_batched=True)

    def compile_whole(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
        return torch.compile(function, fullgraph=True)

    for module in (fused, stacked_linear):
        monkeypatch.setattr(module, "compile_elementwise", compile_whole)
    stack = make_stack(trials, SMALL, is_batched=True)
    for capacity in (len(trials), 9):
        losses = [[get_loss(outcome) for outcome in each.fit_epoch(images)] for each in (stack, expected)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4 if "precision" not in changes else 1e-2)
        for each in (stack, expected):
            each.resize(capacity)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ["relaxed", "straight_through"])
def test_a_step_of_64_models_is_at_most_60_kernels_as_the_compiler_makes_them(
    estimator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `test_launches` counts, but each region as the kernels that the compiler's scheduler leaves of it here.

    It fuses for a CPU; for a GPU it decides by much the same rules. `make gpu` counts on the card.
    """
    kernels: dict[str, int] = {}  # by region, the most that any of its shapes took
    region = ""
    codegen = scheduler.Scheduler.codegen

    def count(self: Any) -> Any:
        number = sum(not isinstance(node, scheduler.NopKernelSchedulerNode) for node in self.nodes)
        kernels[region] = max(number, kernels.get(region, 0))
        return codegen(self)

    def compile_named(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
        compiled = torch.compile(function, fullgraph=True)

        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal region
            region = function.__name__
            return compiled(*args, **kwargs)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(scheduler.Scheduler, "codegen", count)
        for module in (fused, stacked_linear):
            patch.setattr(module, "compile_elementwise", compile_named)
        torch._dynamo.reset()  # what is compiled already would not be counted, nor what is stored
        with inductor_config.patch(force_disable_caches=True):
            stack = make_stack(make_mixed(estimator=estimator), SMALL, is_batched=True)
            stack.fit_epoch(make_images(96, SMALL))
    launches = count_launches_of_a_step(64, monkeypatch, estimator=estimator)
    regions = {name.removeprefix("compiled "): n for name, n in launches.items() if name.startswith("compiled ")}
    assert regions.keys() == kernels.keys()
    total = launches.total() + sum(calls * (kernels[name] - 1) for name, calls in regions.items())
    print(f"\nkernels of a step with {estimator}: {total}; of {kernels}")
    assert kernels["step_models"] == 1
    assert total <= MOST
