"""Schedules of the sharpness of relaxed spikes."""

import pytest
import torch
from torch import Tensor

from models.training.sharpness import compute_sharpness
from tests.models.cases import (
    SMALL,
    make_images,
    make_settings,
    train,
)


@pytest.fixture
def images() -> Tensor:
    return make_images(70, SMALL)  # three batches of 32, the last one of 6


class TestSharpness:
    @pytest.mark.parametrize(
        ("schedule", "step", "sharpness"),
        [
            ("per_step", 0, 50.0),
            ("per_step", 1, 50.001),
            ("per_step", 20_625, 70.625),
            ("per_epoch", 0, 50.0),
            ("per_epoch", 99, 50.0),
            ("per_epoch", 100, 50.001),
            ("per_epoch", 999, 50.009),
            ("ramp", 0, 50.0),
            ("ramp", 333, 100.0),
            ("ramp", 999, 200.0),
        ],
    )
    def test_it_rises_as_the_schedule_says(self, schedule: str, step: int, sharpness: float) -> None:
        settings = make_settings("vsc_sigmoid", sharpness_schedule=schedule, epochs=10)
        assert compute_sharpness(settings, torch.tensor([step]), 100).item() == pytest.approx(sharpness, rel=1e-12)

    @pytest.mark.parametrize(("steps_per_epoch", "epochs"), [(1, 2), (3, 7), (47, 30), (1875, 11)])
    def test_a_ramp_ends_at_exactly_200_and_not_before(self, steps_per_epoch: int, epochs: int) -> None:
        settings = make_settings("vsc_sigmoid", sharpness_schedule="ramp", epochs=epochs)
        values = compute_sharpness(settings, torch.arange(steps_per_epoch * epochs), steps_per_epoch).tolist()
        assert (values[0], values[-1]) == (50.0, 200.0)
        assert values[:-1] == sorted(values[:-1])
        assert all(value < 200 for value in values[:-1])

    def test_a_ramp_of_one_step_has_a_value(self) -> None:
        settings = make_settings("vsc_sigmoid", sharpness_schedule="ramp", epochs=1)
        assert compute_sharpness(settings, torch.tensor([0]), 1).item() == 50.0

    def test_a_model_without_a_spike_has_none(self, images: Tensor) -> None:
        assert [epoch.sharpness for epoch in train(make_settings("vae"), images)[1]] == [None] * 3

    @pytest.mark.parametrize(
        ("schedule", "expected"), [("per_step", [50.002, 50.005]), ("per_epoch", [50.0, 50.001]), ("ramp", [110, 200])]
    )
    def test_an_epoch_reports_the_sharpness_of_its_last_step(
        self, schedule: str, expected: list[float], images: Tensor
    ) -> None:
        settings = make_settings("vsc_sigmoid", epochs=2, sharpness_schedule=schedule)
        assert [epoch.sharpness for epoch in train(settings, images)[1]] == pytest.approx(expected, rel=1e-12)
