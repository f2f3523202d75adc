# ruff: noqa: RUF001  (a Greek letter, meant as one)
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from analysis.drawing.pictures import FAINT
from analysis.drawing.style import contrast_to_white, series_colour
from analysis.figures.edited_codes import compute, note, plot, shape
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits, grays_of, heights_of


@pytest.fixture
def study() -> StudyWithExhibits:
    study = StudyWithExhibits()
    study.grid([0.05, 0.5], [2, 8], seeds=2)
    return study


def test_a_row_per_image_and_factor_with_the_edited_entry(study: StudyWithExhibits, tmp_path: Path) -> None:
    frame = compute(study.stored(tmp_path))
    assert set(zip(frame["model"], frame["alpha"], frame["latent_dim"], frame["seed"], strict=True)) == {
        ("vsc", 0.05, 8, 0)
    }
    assert list(frame["label"]) == [4, 4, 4, 9, 9, 9]  # the code between is empty
    assert list(frame["factor"]) == [1, 0.01, -0.5] * 2
    assert list(frame["value"]) == pytest.approx([-2, -0.02, 1, 3, 0.03, -1.5])
    assert [picture[0, 0] for picture in frame["picture"]] == [20, 30, 31, 22, 34, 35]


def test_the_code_stands_above_the_picture_decoded_from_it(study: StudyWithExhibits, tmp_path: Path) -> None:
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    assert axes.shape == (4, 4)
    plot(frame, axes)
    assert [heights_of(ax) for ax in axes[0, 1:]] == [
        {0: 1, 1: -2},
        {0: 1, 1: pytest.approx(-0.02)},
        {0: 1, 1: 1},
    ]
    assert [grays_of(ax) for ax in axes[1]] == [[[10]], [[20]], [[30]], [[31]]]
    assert axes[1, 0].get_title() == "the image"
    assert [ax.get_title() for ax in axes[0, 1:]] == [
        "latent 1 as encoded",
        "latent 1 times 0.01",
        "latent 1 times −0.5",
    ]
    assert len({ax.get_ylim() for ax in axes[0, 1:]}) == 1


def test_only_the_edited_entry_has_a_colour(study: StudyWithExhibits, tmp_path: Path) -> None:
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    colours = [to_hex(colour) for colour in axes[0, 1].collections[0].get_colors()]
    assert colours == [FAINT, series_colour("vsc", 0.05)]
    light, dark = map(contrast_to_white, colours)
    assert dark > 2 * light, "a dark tint stands out from what is beside it"


def test_the_caption_says_which_figure_of_the_report_and_which_trial(study: StudyWithExhibits, tmp_path: Path) -> None:
    text = note(compute(study.stored(tmp_path)))
    assert text.startswith("As Figure 3 of the report, for 2 test images")
    assert "VSC, α = 0.05, latent dimension = 8, epochs = 30, seed = 0 (test ELBO " in text


def test_a_study_without_a_sparse_code_has_none(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add("vae", 8, 0)
    with pytest.raises(NothingToDrawError, match="no model with a sparse code has stored exhibits"):
        compute(study.stored(tmp_path))
