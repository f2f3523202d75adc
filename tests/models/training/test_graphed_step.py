"""What a GPU replays of a step: held to it without one, by steps that read the same buffers but are not recorded."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.numerics.recording import Recording
from models.pixels import PackedImages
from models.settings import TrialSettings
from models.training import autograd_trainer
from models.training.autograd_trainer import AutogradTrainer
from models.training.state import init_state
from tests.models.cases import (
    AS_FIRST_PUBLISHED,
    KINDS,
    OTHER_OBJECTIVES,
    OTHER_SPARSE,
    assert_same_tensors,
    make_settings,
)

SQUARE = (1, 8, 8)
WAITS = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.lift_fresh", "aten.is_nonzero"}
"""What makes the host wait for a GPU, or copies a number to it: no recording can hold it."""

SCHEDULED = ("annealed_vae", "annealed_vsc", "vsc_uai_paper", "vsc_uai_code")
GRAPHED = {
    **{
        name: {}
        for name in KINDS | OTHER_OBJECTIVES | AS_FIRST_PUBLISHED | OTHER_SPARSE
        if name not in (*SCHEDULED, "vsc_report")
    },
    "vae": {"network": "conv", "hidden": (400,), "likelihood": "gaussian", "variance": "per_pixel"},
    "vsc_disarm": {"network": "conv", "hidden": (400,), "binarisation": "dynamic"},
    "factor_vae": {"binarisation": "dynamic"},
}
"""Models whose steps are recorded, with settings that their step has to know."""


def make_trial(kind: str) -> TrialSettings:
    changes = GRAPHED.get(kind, {})
    return make_settings(kind, **changes)


def begin(settings: TrialSettings, side: int) -> tuple[AutogradTrainer, Tensor]:
    shape = (1, side, side)
    trainer = AutogradTrainer(settings, shape, capacity=2)
    trainer.add(settings, init_state(settings, shape).tensors(), epoch=0, step=0)
    images = torch.randint(0, 256, (70, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return trainer, images  # batches of 32, 32 and 6


def take(trainer: AutogradTrainer, settings: TrialSettings, side: int) -> dict[str, Tensor]:
    tensors = init_state(settings, (1, side, side), is_drawn=False).tensors()
    trainer.store(0, tensors)
    return tensors


@pytest.mark.parametrize("kind", GRAPHED)
def test_steps_that_are_replayed_train_as_others_do(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_trial(kind)
    side = 32 if settings.network == "conv" else 8
    (plain, images), (graphed, _) = begin(settings, side), begin(settings, side)
    expected = [plain.fit_epoch(images) for _ in range(2)]
    replayed: list[int] = []

    def replay(_: Recording, work: Any) -> None:
        work()
        replayed.append(1)

    monkeypatch.setattr(autograd_trainer, "GRAPHED", ("cpu",))
    monkeypatch.setattr(Recording, "run", replay)
    outcomes = [graphed.fit_epoch(images) for _ in range(2)]
    assert len(replayed) == 4  # the smaller batch at an epoch's end is none of them
    assert_same_tensors(take(graphed, settings, side), take(plain, settings, side))
    for (one,), (other,) in zip(outcomes, expected, strict=True):
        assert {**vars(one), "seconds": 0} == {**vars(other), "seconds": 0}


@pytest.mark.parametrize("kind", GRAPHED)
def test_no_step_waits_for_a_number_or_brings_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_trial(kind)
    trainer, images = begin(settings, 32 if settings.network == "conv" else 8)
    seen: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(str(func).rpartition(".")[0])
            return func(*args, **(kwargs or {}))

    def watch(_: Recording, work: Any) -> None:
        with Watch():
            work()

    monkeypatch.setattr(autograd_trainer, "GRAPHED", ("cpu",))
    monkeypatch.setattr(Recording, "run", watch)
    trainer.fit_epoch(images)
    assert "aten._fused_adam_" in seen
    assert not seen & WAITS


@pytest.mark.parametrize("kind", SCHEDULED)
def test_a_step_that_knows_its_number_is_not_replayed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd_trainer, "GRAPHED", ("cpu",))
    monkeypatch.setattr(Recording, "run", lambda *_: pytest.fail("it was recorded"))
    trainer, images = begin(make_settings(kind), 8)
    trainer.fit_epoch(images)


def test_a_member_that_leaves_takes_its_recording_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd_trainer, "GRAPHED", ("cpu",))
    monkeypatch.setattr(Recording, "run", lambda _, work: work())
    first, second = make_settings("vae"), make_settings("vae", seed=5, batch_size=16)
    trainer, images = begin(first, 8)
    trainer.add(second, init_state(second, SQUARE).tensors(), epoch=0, step=0)
    alone, _ = begin(second, 8)
    trainer.fit_epoch(images)
    trainer.remove(0)
    trainer.fit_epoch(images)
    monkeypatch.undo()
    for _ in range(2):
        alone.fit_epoch(images)
    assert_same_tensors(take(trainer, second, 8), take(alone, second, 8))


def test_images_held_as_bits_are_found_again_at_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd_trainer, "GRAPHED", ("cpu",))
    trainer, images = begin(make_trial("vsc_sigmoid"), 8)
    bits = images[..., :1].contiguous()
    one = trainer._find_graphed(0, PackedImages(bits))
    assert one is not None
    assert trainer._find_graphed(0, PackedImages(bits)) is one
    assert trainer._find_graphed(0, PackedImages(bits.clone())) is not one
