"""Where the loss stops being finite: training ends there, and says so."""

import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.datasets import load_dataset
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.stacked import stack as fused
from models.training.state import init_state
from models.training.trainer import DivergedError
from tests.models.cases import (
    KINDS,
    SMALL,
    make_images,
    make_settings,
    train,
)
from tests.models.training.test_fit import num_threads


@pytest.fixture
def images() -> Tensor:
    return make_images(70, SMALL)  # three batches of 32, the last one of 6


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest) -> TrialSettings:
    return make_settings(request.param, epochs=4, learning_rate=0.01)


class TestDivergence:
    @pytest.mark.parametrize(("batch_size", "epoch", "step"), [(32, 1, 2), (100, 2, 2)])
    def test_it_raises_with_the_epoch_and_the_step(
        self, settings: TrialSettings, batch_size: int, epoch: int, step: int, images: Tensor
    ) -> None:
        """The first step throws the parameters away; the loss of the second one shows it."""
        diverging = TrialSettings(**(settings.to_dict() | {"learning_rate": 1e30, "batch_size": batch_size}))
        state = init_state(diverging, SMALL)
        seen = []
        with num_threads(2):
            with pytest.raises(DivergedError, match=f"epoch {epoch}, at step {step}") as caught:
                seen.extend(fit(state, diverging, images))
            assert torch.get_num_threads() == 2
        assert (caught.value.epoch, caught.value.step) == (epoch, step)
        assert len(seen) == epoch - 1

    @pytest.mark.parametrize(
        ("changes", "diverges"),
        [
            ({"gamma_clamp": 0.0}, True),
            ({"gamma_clamp": 1e-6}, False),
            ({"gamma_clamp": 0.0, "gamma_link": "sigmoid"}, False),
            ({"kl_from": "logits"}, False),
        ],
    )
    def test_without_a_clamp_a_gamma_of_one_is_lost_at_the_first_step(
        self, changes: dict[str, Any], diverges: bool, images: Tensor
    ) -> None:
        """What the report says of its first attempts (section 4.2): exp(-relu(-v)) is 1 for every v above 0."""
        settings = make_settings("vsc_exp_relu", **changes)
        if not diverges:
            assert all(math.isfinite(epoch.loss) for epoch in train(settings, images)[1])
            return
        with pytest.raises(DivergedError) as caught:
            train(settings, images)
        assert (caught.value.epoch, caught.value.step) == (1, 1)

    @pytest.mark.slow
    @pytest.mark.skipif("SPIKESLAB_DATA" not in os.environ, reason="SPIKESLAB_DATA names no folder with real data")
    @pytest.mark.parametrize("gamma_link", ["sigmoid", "exp_relu"])
    @pytest.mark.parametrize("seed", range(8))
    def test_on_mnist_a_kl_from_logits_stays_finite_without_a_clamp(self, gamma_link: str, seed: int) -> None:
        mnist = torch.tensor(np.asarray(load_dataset("mnist", Path(os.environ["SPIKESLAB_DATA"])).train_images))
        settings = TrialSettings(
            **{"model": "vsc", "alpha": 0.01, "latent_dim": 200, "gamma_link": gamma_link, "seed": seed},
            **{"kl_from": "logits", "gamma_clamp": 0.0, "epochs": 3, "hidden": (400,)},
        )
        _, epochs = train(settings, mnist)
        assert len(epochs) == 3
        assert all(math.isfinite(epoch.loss) for epoch in epochs)

    @pytest.mark.parametrize("poison", [math.nan, math.inf])
    def test_a_later_step_is_counted_over_the_run(
        self, poison: float, images: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = make_settings("vae", epochs=4)
        monkeypatch.setattr(fused, "compare_pixels", poisoned(fused.compare_pixels, 8, poison))
        with pytest.raises(DivergedError) as caught:
            train(settings, images)
        assert (caught.value.epoch, caught.value.step) == (3, 8)

    def test_the_error_survives_the_way_to_another_process(self) -> None:
        error = pickle.loads(pickle.dumps(DivergedError(3, 8)))
        assert (error.epoch, error.step, str(error)) == (3, 8, str(DivergedError(3, 8)))


def poisoned(compare_pixels: Callable[..., tuple[Tensor, Tensor]], at: int, poison: float) -> Callable[..., object]:
    """The same, but the distortion of call number `at` (from 1) is not finite."""
    calls = 0

    def wrapped(*args: Tensor, is_pair: bool) -> object:
        nonlocal calls
        calls += 1
        distortion, grad = compare_pixels(*args, is_pair=is_pair)
        return (distortion + poison if calls == at else distortion), grad

    return wrapped
