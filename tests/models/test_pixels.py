"""Bytes become pixels in one place, as the settings say."""

import pytest
import torch

from models.build import build_model
from models.pixels import binarise, binarise_once, to_pixels
from models.randomness import make_key, make_offsets, make_row_keys
from tests.models.cases import DIGITS, KINDS, MNIST, make_images, make_settings


def test_bytes_become_intensities_between_zero_and_one() -> None:
    assert to_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def test_or_every_image_gets_a_norm_of_one_however_bright_it_is() -> None:
    images = make_images(80, MNIST).flatten(1)
    images = torch.cat([images[:40], images[40:] // 50, torch.eye(784, dtype=torch.uint8)[:1]])
    x = to_pixels(images, "unit_norm")
    torch.testing.assert_close(x.double().square().sum(1), torch.ones(81, dtype=torch.float64), rtol=1e-5, atol=0)
    assert 0 <= x.min() < x.max() <= 1
    torch.testing.assert_close(x[0] * images[0].float().norm(), images[0].float())


def test_a_black_image_stays_black_and_one_almost_black_does_not() -> None:
    images = torch.zeros(2, 784, dtype=torch.uint8)
    images[1, 3] = 1
    for scaling, brightest in (("minmax", 1 / 255), ("unit_norm", 1.0)):
        x = to_pixels(images, scaling)  # type: ignore[arg-type]
        assert (x[0] == 0).all()
        assert x[1].max() == pytest.approx(brightest)


@pytest.mark.parametrize("scaling", ["minmax", "unit_norm"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_sees_pixels_as_its_settings_say(kind: str, scaling: str) -> None:
    images = make_images(12, DIGITS)
    before = images.clone()
    model = build_model(make_settings(kind, pixel_scaling=scaling), DIGITS)
    x = model.to_pixels(images)
    assert torch.equal(x.flatten(1), to_pixels(images.flatten(1), scaling))  # type: ignore[arg-type]
    assert torch.equal(torch.cat([model.to_pixels(image) for image in images.split(1)]), x)
    assert torch.equal(images, before)
    assert (scaling == "minmax") == torch.equal(x, images / 255)


def test_a_pixel_is_white_as_often_as_its_intensity_says() -> None:
    intensities = torch.tensor([0.0, 1 / 255, 0.2, 0.5, 254 / 255, 1.0])
    (keys,) = make_row_keys([make_key(3, "binarisation", 1)], 40_000)
    drawn = binarise(intensities.expand(40_000, 6), keys[:, None] + make_offsets(6))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn[:, 0] == 0).all()
    assert (drawn[:, -1] == 1).all()
    spread = (intensities * (1 - intensities) / 40_000).sqrt()
    assert ((drawn.mean(0) - intensities).abs() <= 4 * spread).all()
    assert abs(float(drawn[:, 2:4].T.corrcoef()[0, 1])) < 4 / 40_000**0.5  # neighbours are independent


def test_what_is_measured_is_binarised_in_one_way_for_each_split_whatever_the_batch() -> None:
    images = make_images(1_200, DIGITS)
    binary = binarise_once(images, "test")
    assert binary.shape == images.shape
    assert set(binary.unique().tolist()) == {0, 255}
    assert torch.equal(binary, binarise_once(images, "test"))
    assert torch.equal(binary[:30], binarise_once(images[:30], "test"))
    assert not torch.equal(binary, binarise_once(images, "train"))
    assert abs(float(binary.float().mean() - images.float().mean())) < 2
