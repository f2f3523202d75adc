from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from analysis.drawing.style import series_colour
from analysis.figures.traversals import compute, note, plot, shape
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits, fill, grays_of, make_exhibits


def test_a_row_of_pictures_per_active_latent_the_code_itself_marked(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert set(frame["label"]) == {4}  # the image with two active latents
    assert list(frame["latent"]) == [1, 1, 1, 0, 0, 0]
    assert list(frame["encoded"]) == [-2, -2, -2, 1, 1, 1]
    assert list(frame["change"]) == [-1, 0, 1] * 2
    axes = make_axes(*shape(frame))
    assert axes.shape == (1, 1)
    plot(frame, axes)
    ax = axes[0, 0]
    assert grays_of(ax) == [[40, 41, 42], [43, 44, 45]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["\N{MINUS SIGN}1", "code", "+1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1: \N{MINUS SIGN}2.00", "0: +1.00"]
    (frame_of_column,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert frame_of_column.get_bbox().extents.tolist() == [0.5, -0.5, 1.5, 1.5]
    assert to_hex(frame_of_column.get_edgecolor()) == series_colour("vsc", 0.2)
    assert note(frame).startswith("As Figure 5 of the report")


def test_of_many_columns_every_second_is_named_and_the_code_among_them(tmp_path: Path) -> None:
    changes = np.array([-3, -2, -1, 0, 1, 2, 3], np.float32)
    latents = np.array([[1, 0], [0, -1], [-1, -1]])
    pictures = fill(np.arange(42).reshape(3, 2, 7))
    changed = {"traversal_offsets": changes, "traversed_latents": latents, "traversals": pictures}
    study = StudyWithExhibits(changed={0: make_exhibits(4) | changed})
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    names = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert names == ["", "\N{MINUS SIGN}2", "", "code", "", "+2", ""]


def test_models_stand_side_by_side_and_latent_dimensions_below_each_other(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [2, 8], seeds=1)
    study.add("vae", 32, 0)
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    assert axes.shape == (3, 2)
    plot(frame, axes)
    titles = [[ax.get_title().splitlines()[0].split(" ")[-1] for ax in column] for column in axes.T[:, :2]]
    assert titles == [["2", "8"], ["2", "8"]]
    assert axes[2, 0].get_visible()
    assert not axes[2, 1].get_visible()


def test_rows_without_a_latent_are_not_drawn(tmp_path: Path) -> None:
    latents = np.array([[-1, -1], [3, -1], [-1, -1]])
    changed = make_exhibits(4) | {"traversed_latents": latents, "traversals": fill(np.arange(18).reshape(3, 2, 3))}
    study = StudyWithExhibits(changed={0: changed})
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert list(frame["latent"]) == [3, 3, 3]
    assert set(frame["label"]) == {9}
    assert [picture[0, 0] for picture in frame["picture"]] == [6, 7, 8]


def test_all_trials_change_the_same_image_the_one_with_the_most_latents(tmp_path: Path) -> None:
    """One trial has its most active code elsewhere than the other, and would show another image by itself."""
    latents = np.array([[3, -1], [3, 0], [-1, -1]])  # of the images 0, 2 and 1
    study = StudyWithExhibits(changed={0: make_exhibits(4) | {"traversed_latents": latents}})
    study.add("vae", 4, 0)
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert frame.groupby("trial_id")["image"].first().nunique() == 1
