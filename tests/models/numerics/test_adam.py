"""Adam: torch's numbers, without torch's start-up."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.numerics.adam import step_adam
from tests.models.cases import make_generator

SHAPES = [(5, 7), (7,), (1, 1), (33, 3)]


def make_parameters(seed: int = 0) -> list[Tensor]:
    generator = make_generator(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def set_gradients(parameters: list[Tensor], step: int) -> None:
    """Of very different sizes, some exactly zero."""
    generator = make_generator(1000 + step)
    for p in parameters:
        gradient = torch.randn(p.shape, generator=generator) * 10.0 ** (step % 7 - 4)
        p.grad = gradient * (torch.rand(p.shape, generator=generator) > 0.1)


def assert_same_bits(one: list[Tensor], other: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("learning_rate", [1e-3, 0.3])
def test_it_gives_the_bits_of_torchs_fused_adam(learning_rate: float) -> None:
    ours, theirs = make_parameters(), make_parameters()
    exp_avgs, exp_avg_sqs = ([torch.zeros_like(p) for p in ours] for _ in range(2))
    # A tensor there too: torch computes with it as float32, and with a plain number as float64.
    rate = torch.tensor(learning_rate)
    reference = torch.optim.Adam(theirs, lr=rate, fused=True)
    for step in range(60):
        set_gradients(theirs, step)
        gradients = [p.grad for p in theirs]
        step_adam(ours, gradients, exp_avgs, exp_avg_sqs, count=torch.tensor(step + 1.0), learning_rate=rate)
        reference.step()
        assert_same_bits(ours, theirs)
    for p, avg, avg_sq in zip(theirs, exp_avgs, exp_avg_sqs, strict=True):
        assert torch.equal(avg, reference.state[p]["exp_avg"])
        assert torch.equal(avg_sq, reference.state[p]["exp_avg_sq"])


def test_the_count_of_steps_matters() -> None:
    moved = []
    for count in (1.0, 101.0):
        parameter, moments = torch.zeros(3), [torch.zeros(3), torch.zeros(3)]
        rates = {"count": torch.tensor(count), "learning_rate": torch.tensor(0.01)}
        step_adam([parameter], [torch.ones(3)], moments[:1], moments[1:], **rates)
        moved.append(parameter)
    assert not torch.equal(*moved)


def test_training_does_not_load_torchs_compiler() -> None:
    """Which takes 1.5 s in every process that trains."""
    program = """
import sys, torch
from models.measures.bounds import compute_bound
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.state import init_state
settings = TrialSettings(model="vsc", alpha=0.2, latent_dim=2, hidden=(4,), epochs=1, batch_size=4)
images = torch.zeros(4, 1, 3, 3, dtype=torch.uint8)
state = init_state(settings, (1, 3, 3))
assert len(list(fit(state, settings, images))) == 1 and state.step == 1
compute_bound(state.model, images, torch.Generator())
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
