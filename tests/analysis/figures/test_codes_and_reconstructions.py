# ruff: noqa: RUF001  (a Greek letter, meant as one)
from pathlib import Path

from matplotlib.colors import to_hex

from analysis.drawing.style import series_colour
from analysis.figures.codes_and_reconstructions import (
    compute,
    note,
    plot,
    shape,
)
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits, grays_of, heights_of


def test_image_code_and_reconstruction_stand_side_by_side_per_trial(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.05, 0.5], [8, 96, 200], seeds=2)
    frame = compute(study.stored(tmp_path))
    assert list(frame["num_nonzero"]) == [2, 0] * 6
    axes = make_axes(*shape(frame))
    assert axes.shape == (6, 2)
    plot(frame, axes)
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == [
        *(f"VAE, latent dimension = {dim}" for dim in (8, 96, 200)),
        *(f"VSC, α = 0.05, latent dimension = {dim}" for dim in (8, 96, 200)),
    ]
    image, reconstruction, code = axes[3, 0].child_axes
    assert (grays_of(image), grays_of(reconstruction)) == ([[10]], [[20]])
    assert heights_of(code) == {0: 1, 1: -2}
    assert code.get_title() == "2 of 8 not zero"
    assert heights_of(axes[3, 1].child_axes[2]) == {}
    assert note(frame).startswith("As Figure 4 of the report")
    assert to_hex(code.collections[0].get_colors()[0]) == series_colour("vsc", 0.05)


def test_one_code_names_its_axes_for_all_and_the_caption_says_that_scales_differ(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.05], [8, 96], seeds=1)
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    names = [(code.get_xlabel(), code.get_ylabel()) for ax in axes.flat for code in ax.child_axes[2:]]
    assert [pair for pair in names if any(pair)] == [("latent", "code entry")]
    assert "Each code has a scale of its own." in note(frame)


def test_of_many_latent_dimensions_three_are_shown(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [2, 4, 8, 16, 32], seeds=1)
    assert set(compute(study.stored(tmp_path))["latent_dim"]) == {2, 8, 32}
