# ruff: noqa: RUF001  (a Greek letter, meant as one)
from pathlib import Path

import numpy as np

from analysis.figures.conditional_samples import (
    compute,
    note,
    plot,
    shape,
)
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits, grays_of


def test_a_row_per_image_whose_code_is_not_empty_says_how_many_entries_it_keeps(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add("vae", 4, 0)
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert list(frame["shows"]) == ["image", "decoded", "samples", "samples"] * 8
    axes = make_axes(*shape(frame))
    assert axes.shape == (8, 1)
    plot(frame, axes)
    first, second = ([10, 20, 90, 91], [10, 20, 60, 61]), ([12, 22, 94, 95], [12, 22, 64, 65])
    assert [grays_of(ax)[0] for ax in axes[:, 0]] == [*first, *second] * 2
    names = [label.get_text() for ax in axes[:, 0] for label in ax.get_yticklabels()]
    kept = [
        "0 kept of 2,\nat random",
        "1 kept of 2,\nthe largest",
        "0 kept of 1,\nat random",
        "0 kept of 1,\nthe largest",
    ]
    assert names == kept * 2
    titles = ["VAE, latent dimension = 4", "VSC, α = 0.2, latent dimension = 4"]
    assert [ax.get_title() for ax in axes[:, 0]] == [titles[0], "", "", "", titles[1], "", "", ""]
    assert note(frame).startswith("As Figure 6 of the report")
    assert "with replacement" in note(frame)


def test_exhibits_of_before_show_the_largest_alone(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add("vsc", 4, 0, 0.2)
    tables = study.stored(tmp_path)
    (file,) = (tmp_path / "exhibits").glob("*.npz")
    with np.load(file) as stored:
        kept = {name: stored[name] for name in stored.files if not name.startswith("redrawn")}
    np.savez_compressed(file, **kept)
    frame = compute(tables)
    assert list(frame["shows"]) == ["image", "decoded", "samples", "samples"] * 2
    assert set(frame["keeps"]) == {"the largest"}
    assert "with replacement" not in note(frame)


def test_many_trials_show_fewer_images_each(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [2, 8, 16], seeds=1)
    frame = compute(study.stored(tmp_path))
    assert shape(frame) == (12, 1)
