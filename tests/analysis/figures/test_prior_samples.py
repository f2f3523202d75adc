from pathlib import Path

import numpy as np

from analysis.figures.prior_samples import compute, note, plot, shape
from tests.analysis.axes import make_axes
from tests.analysis.made_up_exhibits import StudyWithExhibits, grays_of


def test_the_prior_stands_beside_the_gaussian_and_both_are_named(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add("vsc", 4, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    assert frame.groupby("source")["num_nonzero"].mean().to_dict() == {"gaussian": 4, "prior": 0.5}
    axes = make_axes(*shape(frame))
    assert axes.shape == (2, 1)
    plot(frame, axes)
    for ax, first, title in zip(axes[:, 0], (70, 80), ("its prior", "N(0, 1) in every latent"), strict=True):
        tiles = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
        assert set(tiles[np.isfinite(tiles)]) == set(range(first, first + 10))
        assert title in ax.get_title()
    assert axes[0, 0].get_title().endswith("its prior: 0.5 not zero")
    assert axes[1, 0].get_title().endswith(": 4 not zero")
    assert "Shown, of the trials below: VSC" in note(frame)


def test_a_vae_has_its_prior_only_as_that_is_the_gaussian(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.grid([0.2], [8, 16], seeds=1)
    study.add("vsc", 32, 0, 0.2)
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    assert [[ax.get_visible() for ax in row] for row in axes] == [[True, True, False], [True] * 3, [True] * 3]


def test_one_gray_per_place_in_the_order_of_the_samples(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.changed[0] = {
        "prior_codes": np.ones((8, 4), np.float32),
        **{f"{name}_pictures": np.full((8, 6, 5), 9, np.uint8) for name in ("prior", "gaussian")},
    }
    study.add("vae", 4, 0)
    frame = compute(study.stored(tmp_path))
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    assert grays_of(axes[0, 0]) == [[9] * 8]
