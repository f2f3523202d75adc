"""Tables of pictures, grey and in colour."""

import numpy as np
from matplotlib.figure import Figure

from analysis.drawing.pictures import draw_picture, draw_pictures, name_columns


def drawn(pictures: np.ndarray) -> np.ndarray:
    ax = Figure().add_subplot()
    draw_pictures(ax, pictures)
    return np.asarray(ax.images[0].get_array())


def test_a_table_in_colour_shows_each_picture_in_its_place_and_nothing_between() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 3, 4, 5, 3)).astype(float)
    pictures[1, 2] = np.nan  # there is none
    table = drawn(pictures)
    assert table.dtype == np.uint8
    assert table.shape == (2 * 6, 3 * 7, 4)
    for row in range(2):
        for column in range(3):
            tile = table[6 * row : 6 * row + 6, 7 * column : 7 * column + 7]
            is_there = (row, column) != (1, 2)
            assert (tile[1:-1, 1:-1, 3] == 255 * is_there).all()
            if is_there:
                assert (tile[1:-1, 1:-1, :3] == pictures[row, column]).all()
            frame = np.ones(tile.shape[:2], bool)
            frame[1:-1, 1:-1] = False
            assert not tile[frame, 3].any()


def test_red_is_drawn_red_and_grey_grey() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    ax = Figure().add_subplot()
    draw_picture(ax, red)
    assert ax.images[0].get_array()[2, 2].tolist() == [255, 0, 0, 255]
    assert drawn(np.full((1, 1, 4, 4), 7, np.uint8)).shape == (6, 6)


def test_names_of_columns_are_legible_and_one_that_neighbours_share_stands_above_their_middle() -> None:
    ax = Figure().add_subplot()
    name_columns(ax, ["image", "decoded", "samples", "samples", "samples", "samples"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["image", "decoded", "samples"]
    assert ax.get_xticks().tolist() == [0, 1, 3.5]
    assert {label.get_size() for label in ax.get_xticklabels()} == {7}
