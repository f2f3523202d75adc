"""The sprites drawn here against true ones: 160 frames of the published dataset, read off the animation beside it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.datasets.dsprites import FACTORS, draw_sprites

FRAMES = Path(__file__).parent / "data" / "dsprites_frames.npz"


@pytest.fixture(scope="module")
def frames() -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    with np.load(FRAMES) as file:
        pixels = np.unpackbits(file["frames"], axis=1).reshape(-1, 1, 64, 64) * np.uint8(255)
        return pixels, file["labels"].astype(np.intp)


@pytest.mark.parametrize(("shape", "num_frames", "at_most"), [(0, 32, 4), (1, 32, 2), (2, 96, 6)])
def test_a_drawn_sprite_differs_from_the_true_one_in_few_pixels(
    frames: tuple[NDArray[np.uint8], NDArray[np.intp]], shape: int, num_frames: int, at_most: int
) -> None:
    true, classes = (array[frames[1][:, 0] == shape] for array in frames)
    wrong = (draw_sprites(classes) != true).sum(axis=(1, 2, 3))
    assert len(wrong) == num_frames
    assert wrong.max() <= at_most


@pytest.mark.parametrize(
    ("shape", "areas"),
    [(0, [100, 144, 196, 256, 324, 400]), (1, [76, 104, 144, 184, 228, 288]), (2, [58, 84, 108, 140, 182, 222])],
)
def test_areas_by_scale_are_the_true_ones(shape: int, areas: list[int]) -> None:
    drawn = draw_sprites(np.array([[shape, scale, 0, 0, 0] for scale in range(6)]))
    assert ((drawn == 255).sum(axis=(1, 2, 3))).tolist() == areas


def test_the_grid_is_that_of_the_published_file() -> None:
    assert FACTORS.sizes == (3, 6, 40, 32, 32)
    assert FACTORS.num_images == 737_280
    assert FACTORS.to_classes(np.array([0, 1, 32, 737_279])).tolist() == [
        [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [2, 5, 39, 31, 31],
    ]  # fmt: skip
    some = np.arange(0, FACTORS.num_images, 1_009)
    assert (FACTORS.to_classes(some) @ [6 * 40 * 32 * 32, 40 * 32 * 32, 32 * 32, 32, 1] == some).all()


def test_a_whole_turn_is_no_turn_and_no_sprite_is_cut() -> None:
    corners = np.array([[s, 5, o, x, y] for s in range(3) for o in range(40) for x in (0, 31) for y in (0, 31)])
    images = draw_sprites(corners).reshape(3, 40, 4, 64, 64)
    assert (images[:, 0] == images[:, 39]).all()
    assert (images[:, 0] != images[:, 1]).any(axis=(2, 3)).all()
    frame = np.ones((64, 64), bool)
    frame[1:-1, 1:-1] = False
    assert not images[..., frame].any()
    # A larger window would draw the same: nothing lies on the edge of the window of 29 pixels about the centre.
    inked = np.nonzero(images[:, :, 0].any(axis=(0, 1)))
    assert all(axis.min() > 16 - 14 and axis.max() < 16 + 14 for axis in inked)


def test_at_half_the_side_a_pixel_is_white_if_one_of_its_four_is() -> None:
    classes = FACTORS.to_classes(np.arange(0, FACTORS.num_images, 90_001))
    full, half = draw_sprites(classes), draw_sprites(classes, 32)
    assert half.shape == (len(classes), 1, 32, 32)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert (half >= full[:, :, y::2, x::2]).all()
    assert set(np.unique(half)) == {0, 255}
    assert (half == full.reshape(-1, 1, 32, 2, 32, 2).max(axis=(3, 5))).all()
