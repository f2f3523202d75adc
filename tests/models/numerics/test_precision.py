"""Precisions of matrix products."""

from typing import Any, get_args

import pytest
import torch

from models.choices import Precision
from models.numerics.computing import computing
from models.numerics.precision import choose_layout, has_precision, multiplying
from models.settings import TrialSettings
from models.training.autograd_trainer import AutogradTrainer
from models.training.fit import fit
from models.training.state import init_state
from tests.models.cases import SMALL, make_images, make_settings


def test_every_device_has_float32_and_no_cpu_tf32() -> None:
    cpu = torch.device("cpu")
    assert has_precision("float32", cpu)
    assert not has_precision("tf32", cpu)


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_since_ampere_has_tf32(capability: tuple[int, int], has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert has_precision("tf32", torch.device("cuda")) == has


def test_a_gpu_that_only_emulates_bf16_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch counts one that does by default, and on it products take longer than in float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not has_precision("bf16", torch.device("cuda"))


def test_maps_have_their_channels_last_where_tensor_cores_multiply() -> None:
    cpu, card = torch.device("cpu"), torch.device("cuda")
    assert {choose_layout(p, cpu) for p in get_args(Precision)} == {torch.contiguous_format}
    assert choose_layout("float32", card) == torch.contiguous_format
    assert choose_layout("tf32", card) == choose_layout("bf16", card) == torch.channels_last


def test_torchs_switch_is_on_inside_and_as_before_outside() -> None:
    for precision, inside in (("tf32", "high"), ("float32", "highest"), ("bf16", "highest")):
        with computing():
            with multiplying(precision):  # type: ignore[arg-type]
                assert torch.get_float32_matmul_precision() == inside
                assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("trainer", ["stacked", "autograd"])
def test_tf32_is_refused_on_a_cpu_in_one_sentence(trainer: str) -> None:
    settings = make_settings("vae", precision="tf32")
    state = init_state(settings, SMALL)
    with pytest.raises(ValueError, match=r"^precision: this processor cannot compute in tf32; use float32$"):
        _begin(trainer, settings, state.tensors())


def _begin(trainer: str, settings: TrialSettings, tensors: Any) -> None:
    if trainer == "stacked":
        next(fit(init_state(settings, SMALL), settings, make_images(70, SMALL)))
    AutogradTrainer(settings, SMALL).add(settings, tensors, epoch=0, step=0)


@pytest.mark.parametrize("trainer", ["stacked", "autograd"])
def test_both_trainers_multiply_in_it_where_it_is(trainer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told that this processor had it: the switch is on while they train, and off after."""
    seen = []
    module = "models.training.stacked.stack" if trainer == "stacked" else "models.training.autograd_trainer"
    monkeypatch.setattr(f"{module}.has_precision", lambda *_: True)
    name = "gather_pixels" if trainer == "stacked" else "compute_sharpness"
    original = getattr(__import__(module, fromlist=[name]), name)

    def watch(*given: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return original(*given)

    monkeypatch.setattr(f"{module}.{name}", watch)
    settings = make_settings("vae", precision="tf32")
    state = init_state(settings, SMALL)
    if trainer == "stacked":
        next(fit(state, settings, make_images(70, SMALL)))
    else:
        autograd = AutogradTrainer(settings, SMALL)
        autograd.add(settings, state.tensors(), epoch=0, step=0)
        autograd.fit_epoch(make_images(70, SMALL))
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == "highest"
