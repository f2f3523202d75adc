"""Stacks on a CPU that compile their regions as on a GPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import _dynamo

from models.training.stacked import cuda_graph as cuda
from models.training.stacked import linear as stacked_linear
from models.training.stacked import stack as fused

NUM_REGIONS = 8


def let_compile(monkeypatch: pytest.MonkeyPatch, backend: Callable[..., Any] | None = None) -> None:
    """Let stacks compile. backend: in the place of torch's compiler."""

    def compile_region(function: Callable[..., Any], _: torch.device) -> Callable[..., Any]:
        return cuda.compile_elementwise(function, torch.device("cuda"))

    for module in (fused, stacked_linear):
        monkeypatch.setattr(module, "compile_elementwise", compile_region)
    monkeypatch.setattr(cuda, "OUTCOMES", {})
    # torch's compiler has distributions check no parameters any more, in the whole process: not in that of tests.
    monkeypatch.setattr(torch.distributions.Distribution, "set_default_validate_args", lambda _: None)
    _dynamo.reset()  # what other tests have compiled serves as well
    if backend is not None:
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
