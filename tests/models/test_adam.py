"""Adam: torch's numbers, without torch's start-up."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.adam import Adam
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
    adam, reference = Adam(ours, learning_rate), torch.optim.Adam(theirs, lr=learning_rate, fused=True)
    for step in range(60):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        adam.step()
        reference.step()
        assert_same_bits(ours, theirs)
    for p, avg, avg_sq in zip(theirs, adam.exp_avgs, adam.exp_avg_sqs, strict=True):
        assert torch.equal(avg, reference.state[p]["exp_avg"])
        assert torch.equal(avg_sq, reference.state[p]["exp_avg_sq"])


def test_moments_and_step_put_into_another_one_go_on_with_the_same_bits() -> None:
    parameters = make_parameters()
    adam = Adam(parameters, 0.01)
    for step in range(5):
        set_gradients(parameters, step)
        adam.step()

    resumed_parameters = [p.detach().clone().requires_grad_() for p in parameters]
    resumed = Adam(resumed_parameters, 0.01)
    for ours, stored in zip(resumed.exp_avgs + resumed.exp_avg_sqs, adam.exp_avgs + adam.exp_avg_sqs, strict=True):
        ours.copy_(stored)
    resumed.set_step(5)

    for step in range(5, 10):
        for owner, values in ((adam, parameters), (resumed, resumed_parameters)):
            set_gradients(values, step)
            owner.step()
        assert_same_bits(parameters, resumed_parameters)


def test_the_step_matters_to_a_resumed_one() -> None:
    moved = []
    for step in (0, 100):
        (parameter,) = parameters = [torch.zeros(3, requires_grad=True)]
        adam = Adam(parameters, 0.01)
        adam.set_step(step)
        parameter.grad = torch.ones(3)
        adam.step()
        moved.append(parameter.detach())
    assert not torch.equal(*moved)


def test_a_step_forgets_the_gradients() -> None:
    parameters = make_parameters()
    set_gradients(parameters, 0)
    Adam(parameters, 0.01).step()
    assert all(p.grad is None for p in parameters)


def test_a_parameter_outside_the_loss_is_noticed() -> None:
    parameters = make_parameters()
    set_gradients(parameters[:-1], 0)
    with pytest.raises(AssertionError, match="every parameter"):
        Adam(parameters, 0.01).step()


def test_training_does_not_load_torchs_compiler() -> None:
    """Which takes 1.5 s in every process that trains."""
    program = """
import sys, torch
from models.evaluation import compute_bound
from models.settings import TrialSettings
from models.training import fit, init_state
settings = TrialSettings(model="vsc", alpha=0.2, latent_dim=2, hidden=(4,), epochs=1, batch_size=4)
images = torch.zeros(4, 9, dtype=torch.uint8)
state = init_state(settings, 9)
assert len(list(fit(state, settings, images))) == 1 and state.step == 1
compute_bound(state.model, images, torch.Generator())
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
