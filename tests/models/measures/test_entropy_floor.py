"""The entropy of grey pixels, which no distortion goes below."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.datasets import load_dataset
from models.build import build_model
from models.measures.bounds import (
    compute_entropy_floor,
)
from tests.models.cases import (
    SMALL,
    make_images,
    make_settings,
)


class TestEntropyFloor:
    def test_it_is_the_entropy_of_each_pixel_summed_over_an_image(self) -> None:
        images = torch.tensor([51, 0, 255, 204], dtype=torch.uint8).view(1, 1, 2, 2)  # a fifth, black, white, 4 fifths
        of_a_fifth = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
        model = build_model(make_settings("vae"), (1, 2, 2))
        assert compute_entropy_floor(model, images) == pytest.approx(2 * of_a_fifth, rel=1e-6)
        assert compute_entropy_floor(model, torch.cat([images, images * 0])) == pytest.approx(of_a_fifth, rel=1e-6)

    @pytest.mark.parametrize("scaling", ["minmax", "unit_norm"])
    def test_it_is_the_distortion_of_a_decoder_that_knows_every_pixel_and_of_none_better(self, scaling: str) -> None:
        images = make_images(12, SMALL)
        model = build_model(make_settings("vae", pixel_scaling=scaling), SMALL)
        x = model.to_pixels(images).double()
        floor = compute_entropy_floor(model, images)
        least = model.likelihood.nats(x.logit(eps=1e-9), x).mean()
        assert floor == pytest.approx(float(least), rel=1e-4)
        for shift in (-0.1, 0.1):
            assert model.likelihood.nats(x.logit(eps=1e-9) + shift, x).mean() > floor

    def test_it_is_summed_on_one_thread_whatever_there_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        num_threads: list[int] = []
        model = build_model(make_settings("vae"), SMALL)

        def watch(images: Tensor) -> Tensor:
            num_threads.append(torch.get_num_threads())
            return to_pixels(images)

        to_pixels, before = model.to_pixels, torch.get_num_threads()
        monkeypatch.setattr(model, "to_pixels", watch)
        torch.set_num_threads(2)
        try:
            compute_entropy_floor(model, make_images(12, SMALL))
        finally:
            torch.set_num_threads(before)
        assert num_threads == [1]

    @pytest.mark.skipif("SPIKESLAB_DATA" not in os.environ, reason="SPIKESLAB_DATA names no folder with real data")
    @pytest.mark.parametrize(("name", "nats"), [("mnist", 45.53), ("fashion-mnist", 189.86)])
    def test_on_test_images_it_is_what_an_audit_of_its_own_found(self, name: str, nats: float) -> None:
        dataset = load_dataset(name, Path(os.environ["SPIKESLAB_DATA"]))
        model = build_model(make_settings("vae"), (1, 28, 28))
        assert compute_entropy_floor(model, torch.tensor(dataset.test_images)) == pytest.approx(nats, abs=0.01)
