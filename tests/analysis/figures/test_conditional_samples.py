# ruff: noqa: RUF001  (a Greek letter, meant as one)
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.figures.conditional_samples import (
    compute,
    note,
    plot,
    shape,
)
from tests.analysis.made_up_exhibits import StudyWithExhibits, grays_of

MakeAxes = Callable[..., np.ndarray]


def test_a_row_per_image_whose_code_is_not_empty_says_how_many_entries_it_keeps(
    tmp_path: Path, make_axes: MakeAxes
) -> None:
    study = StudyWithExhibits()
    study.add("vae", 4, 0)
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert list(frame["shows"]) == ["image", "decoded", "samples", "samples"] * 4
    axes = make_axes(*shape(frame))
    assert axes.shape == (4, 1)
    plot(frame, axes)
    assert [grays_of(ax)[0] for ax in axes[:, 0]] == [[10, 20, 60, 61], [12, 22, 64, 65]] * 2
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in axes[:, 0]]
    assert names == [["1 kept of 2"], ["0 kept of 1"]] * 2
    assert [ax.get_title() for ax in axes[:, 0]] == [
        *("VAE, latent dimension = 4", "", "VSC, α = 0.2, latent dimension = 4", ""),
    ]
    assert note(frame).startswith("As Figure 6 of the report")


def test_many_trials_show_fewer_images_each(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [2, 8, 16], seeds=1)
    frame = compute(study.stored(tmp_path))
    assert shape(frame) == (12, 1)
