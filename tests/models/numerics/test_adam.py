"""Adam: torch's numbers, without torch's start-up."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.numerics.adam import StepSizes, count_step, step_adam, step_models
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


LEARNING_RATES = (1e-5, 1e-3, 0.02, 0.3, 1e-3)
COUNTS = (0.0, 0.0, 7.0, 1000.0, 1e6)


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_many_models_at_once_step_as_each_would_by_torchs_fused_adam(is_compiled: bool) -> None:
    """After 500 steps with learning rates and counts of their own, within 1e-6 relative: parameters and moments.

    Compiled: for the processor at hand, by the compiler that makes it one kernel on a GPU.
    """
    step_all = torch.compile(step_models) if is_compiled else step_models
    count_all = torch.compile(count_step) if is_compiled else count_step
    generator = make_generator(5)
    # Rows that begin where tensors of their own could, so with gaps, as a stack has them.
    ours = [torch.zeros(len(COUNTS), 48)[:, :35].view(-1, 7, 5) for _ in range(3)]
    ours[0].copy_(torch.randn(ours[0].shape, generator=generator))
    theirs = [[tensor.clone() for tensor in part] for part in ours]
    count, learning_rate = torch.tensor(COUNTS), torch.tensor(LEARNING_RATES)
    with torch.inference_mode():
        for step in range(500):
            scale = 10.0 ** (step % 7 - 4)
            gradients = torch.randn(ours[0].shape, generator=generator).mul_(scale)
            gradients *= torch.rand(gradients.shape, generator=generator) > 0.1
            for k, (parameter, exp_avg, exp_avg_sq) in enumerate(zip(*theirs, strict=True)):
                done = {"count": torch.tensor(COUNTS[k] + step + 1), "learning_rate": learning_rate[k]}
                step_adam([parameter], [gradients[k].clone()], [exp_avg], [exp_avg_sq], **done)
            sizes = StepSizes(*count_all(count, learning_rate))
            step_all(ours[0], gradients, *ours[1:], sizes)
    assert count.tolist() == [before + 500 for before in COUNTS]
    worst = 0.0
    for part, expected in zip(ours, theirs, strict=True):
        for one, other in zip(part, expected, strict=True):
            worst = max(worst, float((one - other).norm() / other.norm()))
    print(f"largest relative difference from torch's fused Adam after 500 steps: {worst:.1e}")
    assert worst <= 1e-6


def test_a_model_that_does_not_learn_stays_where_it_is() -> None:
    """A stack's free slots have a learning rate of 0, and may have no gradient."""
    tensors = [torch.zeros(1, 3) for _ in range(4)]
    step_models(*tensors, count_step(torch.zeros(1), torch.zeros(1)))
    assert [tensor.tolist() for tensor in (tensors[0], *tensors[2:])] == [[[0.0] * 3]] * 3


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
