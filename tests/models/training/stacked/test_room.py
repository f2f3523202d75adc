"""What a stack has room for: places for members, who is admitted, and the memory of each."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from models.settings import TrialSettings
from models.training.fit import fit
from models.training.stacked import stack as fused
from models.training.stacked.stack import Stack
from models.training.state import init_state
from tests.models.cases import MNIST, SMALL, at, get_loss, make_images, make_noise, make_settings
from tests.models.training.stacked.mixed_stacks import make_mixed, make_stack


class TestRoom:
    @pytest.mark.parametrize("is_batched", [False, True])
    def test_more_or_fewer_places_change_no_member(self, is_batched: bool) -> None:
        images, trials = make_images(70, SMALL), make_mixed()
        stack = make_stack(trials[:3], SMALL, is_batched=is_batched)
        constant = make_stack(trials[:3], SMALL, is_batched=is_batched)
        for capacity in (9, 3, 4):
            outcomes, expected = stack.fit_epoch(images), constant.fit_epoch(images)
            losses = [get_loss(outcome) for outcome in outcomes]
            assert losses == pytest.approx([get_loss(outcome) for outcome in expected], rel=1e-5 if is_batched else 0)
            stack.resize(capacity)
        with pytest.raises(ValueError, match="3 members do not fit into 2 slots"):
            stack.resize(2)

    def test_a_full_stack_takes_no_more(self) -> None:
        trials = make_mixed()
        stack = make_stack(trials[:1], SMALL)
        with pytest.raises(ValueError, match="room"):
            stack.add(trials[2], init_state(trials[2], SMALL).tensors(), epoch=0, step=0)

    @pytest.mark.parametrize(
        "change",
        [
            {"batch_size": 64},
            {"hidden": (8,)},
            {"gamma_link": "sigmoid"},
            {"gamma_clamp": 0.0},
            {"pixel_scaling": "unit_norm"},
            {"binarisation": "static"},
            {"activation": "tanh"},
            {"precision": "bf16"},
        ],
    )
    def test_a_trial_of_another_shape_is_refused(self, change: dict[str, Any]) -> None:
        first = make_mixed()[0]
        other = TrialSettings(**(first.to_dict() | change))
        stack = make_stack([first], SMALL, capacity=2)
        assert not stack.admits(other)
        with pytest.raises(ValueError, match="shape"):
            stack.add(other, init_state(other, SMALL).tensors(), epoch=0, step=0)

    def test_the_reports_numbers_are_drawn_for_one_after_the_other(self) -> None:
        first = make_mixed()[0]
        other = TrialSettings(**(first.to_dict() | {"randomness": "report"}))
        stack = make_stack([first], SMALL, capacity=2, is_batched=True)
        assert stack.admits(other)
        with pytest.raises(ValueError, match=r"^randomness: .* on the CPU; set gpu: 0"):
            stack.add(other, init_state(other, SMALL).tensors(), epoch=0, step=0)

    def test_a_trial_that_starts_from_other_weights_can_be_a_member(self) -> None:
        first, other = make_mixed()[0], make_mixed(initialisation="xavier")[0]
        assert Stack(first, SMALL, first.latent_dim).admits(other)

    def test_pixels_drawn_once_and_drawn_anew_share_a_stack(self) -> None:
        once, anew = (make_mixed(binarisation=binarisation)[0] for binarisation in ("static", "dynamic"))
        assert Stack(once, SMALL, once.latent_dim).admits(anew)

    def test_a_vae_of_other_pixels_does_not_join(self) -> None:
        stack = Stack(make_mixed()[0], SMALL, 6, is_batched=True)
        assert stack.admits(make_mixed()[1])
        assert not stack.admits(make_mixed(pixel_scaling="unit_norm")[1])

    def test_a_vsc_does_not_join_a_stack_of_vaes(self) -> None:
        vsc, vae, *_ = make_mixed()
        assert Stack(vsc, SMALL, 6, is_batched=True).admits(vae)
        assert not Stack(vae, SMALL, 6, is_batched=True).admits(vsc)

    def test_one_after_the_other_only_trials_alike_are_admitted(self) -> None:
        """Else a member would not have, to the bit, the numbers that it has alone."""
        vsc, narrow_vae, *_, wide_vae, narrow_vsc = make_mixed()
        stack = Stack(vsc, SMALL, 6, is_batched=False)
        assert [stack.admits(trial) for trial in (vsc, narrow_vae, wide_vae, narrow_vsc)] == [True, False, False, False]
        assert [Stack(vsc, SMALL, 6, is_batched=True).admits(trial) for trial in (narrow_vae, narrow_vsc)] == [True] * 2
        assert not Stack(vsc, SMALL, 5, is_batched=True).admits(vsc)


def test_a_precision_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "has_precision", lambda *_: False)
    settings = make_settings("vae", precision="bf16")
    with pytest.raises(ValueError, match=r"^precision: .* use float32"):
        next(fit(init_state(settings, SMALL), settings, make_images(70, SMALL)))


@pytest.mark.slow
def test_a_member_takes_little_more_memory_than_it_would_alone() -> None:
    """Stacked as on a GPU: its parameters, moments and activations, and what is needed of gradients for a moment."""
    program = """
import re, sys, torch
from pathlib import Path
from models.training.stacked.stack import Stack
from models.choices import ImageShape
from models.settings import TrialSettings
from models.training.state import init_state
settings = TrialSettings(model="vsc", alpha=0.2, latent_dim=200)
size = int(sys.argv[1])
stack = Stack(settings, (1, 28, 28), 200, capacity=size, is_batched=True)
stack.add(settings, init_state(settings, (1, 28, 28)).tensors(), epoch=0, step=0)
stack.fit_epoch(torch.zeros(320, 1, 28, 28, dtype=torch.uint8))
# Not ru_maxrss: that begins with what the process that started this one had.
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
"""
    small, large = (
        int(subprocess.run([sys.executable, "-c", program, str(size)], capture_output=True, check=True).stdout)
        for size in (8, 40)
    )
    settings = TrialSettings(model="vsc", alpha=0.2, latent_dim=200)
    state = init_state(settings, MNIST)
    own = {tensor.untyped_storage().data_ptr(): tensor.nbytes for tensor in state.tensors().values()}

    def note(tensor: Tensor) -> Tensor:
        """Activations are what autograd would keep of a batch."""
        own[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        kept.append(tensor)
        return tensor

    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        elbo = state.model.compute_elbo(make_images(32, MNIST).float() / 255, make_noise(0), at(50.0))
    ratio = (large - small) / 32 / sum(own.values())
    print(f"\na member more: {(large - small) / 32e6:.1f} MB, {ratio:.3f} times its own")
    assert elbo.rate.isfinite().all()
    assert 1 <= ratio <= 1.15
