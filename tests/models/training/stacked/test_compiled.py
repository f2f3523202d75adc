"""A batched stack with its regions compiled as on a GPU, for the processor at hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._inductor import config as inductor_config
from torch._inductor import scheduler

from models.training.stacked import cuda_graph as cuda
from models.training.stacked import linear as stacked_linear
from models.training.stacked import stack as fused
from tests.models.cases import SMALL, get_loss, make_images
from tests.models.training.stacked.compiling import NUM_REGIONS, let_compile
from tests.models.training.stacked.mixed_stacks import make_mixed, make_stack
from tests.models.training.stacked.test_launches import MOST, count_launches_of_a_step


def test_one_kernel_serves_batches_of_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the smaller batch that ends an epoch, and where a stack has as many members as a batch images.

    Else the batches after it would be summed by another kernel than those before, and a resumed trial differ.
    """
    used: list[int] = []
    made: list[int] = []

    def record(graph: torch.fx.GraphModule, _: list[Any]) -> Callable[..., Any]:
        made.append(number := len(made))

        def run(*args: Any) -> Any:
            used.append(number)
            return graph.forward(*args)

        return run

    let_compile(monkeypatch, record)
    stack = make_stack(make_mixed(batch_size=8), SMALL, is_batched=True, capacity=8)
    for _ in range(2):
        stack.fit_epoch(make_images(22, SMALL))
    assert set(cuda.OUTCOMES.values()) == {cuda.COMPILED}
    steps = [used[first : first + len(used) // 6] for first in range(0, len(used), len(used) // 6)]
    assert len(steps) == 6  # 8, 8 and 6 images, twice
    assert all(step == steps[0] for step in steps)


def test_what_cannot_be_compiled_runs_as_it_is_and_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(graph: torch.fx.GraphModule, _: list[Any]) -> Callable[..., Any]:
        raise FileNotFoundError("gcc: no such file\nand more")

    images, trials = make_images(22, SMALL), make_mixed(batch_size=8)
    expected = make_stack(trials, SMALL, is_batched=True).fit_epoch(images)
    let_compile(monkeypatch, fail)
    stack = make_stack(trials, SMALL, is_batched=True)
    with pytest.warns(
        UserWarning, match=r"^steps take longer .* as gather_pixels could .*: FileNotFoundError: gcc"
    ) as told:
        outcomes = stack.fit_epoch(images)
    assert len(told) == 1
    assert [get_loss(outcome) for outcome in outcomes] == [get_loss(outcome) for outcome in expected]
    assert cuda.OUTCOMES["step_models"] == "FileNotFoundError: gcc: no such file"
    assert len(cuda.OUTCOMES) == NUM_REGIONS


def test_more_shapes_than_the_compiler_keeps_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    let_compile(monkeypatch, lambda graph, _: graph.forward)
    average = cuda.compile_elementwise(fused.average_terms, torch.device("cuda"))
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 1)
    one, other = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64)
    average(one, one)
    with pytest.warns(UserWarning, match="average_terms could not be compiled .* recompile limit"):
        assert average(other, other).tolist() == [[1.0, 1.0]] * 2


def test_want_of_memory_in_the_compiler_is_no_reason_to_go_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(graph: torch.fx.GraphModule, _: list[Any]) -> Callable[..., Any]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    let_compile(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        cuda.compile_elementwise(fused.average_terms, torch.device("cuda"))(torch.ones(2, 3), torch.ones(2, 3))
    assert cuda.OUTCOMES == {}


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

    let_compile(monkeypatch)
    stack = make_stack(trials, SMALL, is_batched=True)
    for capacity in (len(trials), 9):
        losses = [[get_loss(outcome) for outcome in each.fit_epoch(images)] for each in (stack, expected)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4 if "precision" not in changes else 1e-2)
        for each in (stack, expected):
            each.resize(capacity)
    assert len(cuda.OUTCOMES) == NUM_REGIONS
    assert set(cuda.OUTCOMES.values()) == {cuda.COMPILED}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ["relaxed", "straight_through", "disarm"])
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
        compiled = cuda.compile_elementwise(function, torch.device("cuda"))

        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal region
            region = function.__name__
            return compiled(*args, **kwargs)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(cuda, "OUTCOMES", {})
        patch.setattr(scheduler.Scheduler, "codegen", count)
        for module in (fused, stacked_linear):
            patch.setattr(module, "compile_elementwise", compile_named)
        torch._dynamo.reset()  # what is compiled already would not be counted, nor what is stored
        with inductor_config.patch(force_disable_caches=True):
            stack = make_stack(make_mixed(estimator=estimator), SMALL, is_batched=True)
            stack.fit_epoch(make_images(96, SMALL))
        assert set(cuda.OUTCOMES.values()) == {cuda.COMPILED}
    launches = count_launches_of_a_step(64, monkeypatch, estimator=estimator)
    regions = {name.removeprefix("compiled "): n for name, n in launches.items() if name.startswith("compiled ")}
    assert regions.keys() == kernels.keys()
    total = launches.total() + sum(calls * (kernels[name] - 1) for name, calls in regions.items())
    print(f"\nkernels of a step with {estimator}: {total}; of {kernels}")
    assert kernels["step_models"] == 1
    assert total <= MOST
