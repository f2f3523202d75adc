"""Tables of pictures: each pixel is where and what it was, and between pictures nothing is drawn."""

from collections.abc import Callable

import numpy as np
import pytest

from analysis.drawing.pictures import draw_pictures


@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_table_shows_each_picture_in_its_place(
    colours: tuple[int, ...], make_axes: Callable[..., np.ndarray]
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 5, *colours)).astype(np.uint8)
    ax = make_axes(1, 1)[0, 0]
    draw_pictures(ax, pictures)
    (image,) = ax.get_images()
    drawn = np.ma.filled(image.get_array(), np.nan)
    assert drawn.shape[:2] == (2 * 8, 3 * 7)
    for row in range(2):
        for column in range(3):
            tile = drawn[8 * row : 8 * (row + 1), 7 * column : 7 * (column + 1)]
            inside = tile[1:-1, 1:-1]
            if colours:
                assert np.allclose(inside[..., :3] * 255, pictures[row, column])
                assert (inside[..., 3] == 1).all()
                assert tile[..., 3].sum() == inside[..., 3].sum()
            else:
                assert np.array_equal(inside, pictures[row, column])
                assert np.isnan(tile).sum() == tile.size - inside.size
