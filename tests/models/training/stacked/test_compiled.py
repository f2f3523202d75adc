"""A batched stack with its regions compiled as on a GPU, for the processor at hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.training.stacked import linear as stacked_linear
from models.training.stacked import stack as fused
from tests.models.cases import SMALL, make_images
from tests.models.training.stacked.test_stack import get_loss, make_mixed, make_stack


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("changes", [{}, {"pixel_scaling": "unit_norm", "estimator": "disarm"}, {"precision": "bf16"}])
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
