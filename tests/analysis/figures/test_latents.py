# ruff: noqa: RUF001  (a Greek letter, meant as one)
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgba

from analysis.drawing.style import series_colour
from analysis.figures.latents import compute, note, plot, shape
from tests.analysis.axes import make_axes
from tests.analysis.made_up_latents import StudyWithLatents


def test_latents_are_sorted_by_kl_and_keep_their_numbers(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.add("vsc", 3, 0, 0.1)
    frame = compute(study.stored(tmp_path))
    assert list(frame["rank"]) == [1, 2, 3]
    assert list(frame["latent"]) == [2, 1, 0]
    np.testing.assert_allclose(frame["kl"], [2, 0.2, 0.02], rtol=1e-6)
    np.testing.assert_allclose(frame["slab_prob"], [1, 0.55, 0.1], rtol=1e-6)
    np.testing.assert_allclose(frame["slab_prob_class_5"], frame["slab_prob"])


def test_a_row_of_panels_shows_kl_gamma_and_gamma_by_class(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.grid([0.1], [5], seeds=2)
    frame = compute(study.stored(tmp_path))
    assert shape(frame) == (2, 3)
    axes = make_axes(2, 3)
    plot(frame, axes)
    vae, vsc = axes
    assert (
        vsc[0].get_title("left")
        == "VSC, α = 0.1, latent dimension = 5: 2 informative" + f" ({frame['standing'].iloc[-1]})"
    )
    assert vsc[0].get_yscale() == "log"
    assert vsc[0].get_ylabel() == "mean KL (nats)"
    assert vsc[1].get_ylabel() == "mean P(z ≠ 0)"
    points = vsc[0].collections[0]
    np.testing.assert_allclose(points.get_offsets()[:, 1], [2, 0.2, 0.02, 0.002, 0.0002], rtol=1e-5)
    colour = to_rgba(series_colour("vsc", 0.1))
    is_filled = [tuple(face) == colour for face in points.get_facecolors()]
    assert is_filled == [True, True, False, False, False]
    assert sorted(line.get_ydata()[0] for line in vsc[1].lines) == [0.1, 0.95]
    (image,) = vsc[2].images
    assert image.get_array().shape == (2, 5)
    assert [tick.get_text() for tick in vsc[2].get_yticklabels()] == ["3", "5"]
    assert [text.get_text() for ax in vae[1:] for text in ax.texts] == ["no gates: every latent is always on"]


def test_the_note_counts_what_is_not_shown(tmp_path: Path) -> None:
    study = StudyWithLatents()
    for alpha in np.linspace(0.1, 0.8, 14):
        study.add("vsc", 4, 0, float(alpha))
    assert "Left out: 2 configurations." in note(compute(study.stored(tmp_path)))


def test_where_training_moves_the_prior_no_line_stands_at_the_alpha_it_starts_from(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.add("vsc", 4, 0, 0.1)
    assert "Not drawn" not in note(compute(study.stored(tmp_path / "vsc")))
    study.add("vsc_learned_alpha", 4, 0, 0.1)
    frame = compute(study.stored(tmp_path / "both"))
    axes = make_axes(2, 3)
    plot(frame, axes)
    assert [sorted(line.get_ydata()[0] for line in ax.lines) for ax in axes[:, 1]] == [[0.1, 0.95], [0.95]]
    assert "of the prior, α. Not drawn of a VSC (learns α), whose setting α is not the prior's. Right" in note(frame)


def test_without_a_kl_the_other_panels_are_drawn_the_latents_that_are_most_often_on_first(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.add("vsc", 4, 0, 0.1)
    assert "Without a KL" not in note(compute(study.stored(tmp_path / "with")))
    study = StudyWithLatents(without=("kl",))
    study.add("vsc", 4, 0, 0.1)
    frame = compute(study.stored(tmp_path / "without"))
    assert list(frame["latent"]) == [3, 2, 1, 0]
    assert frame["kl"].isna().all()
    axes = make_axes(1, 3)
    plot(frame, axes)
    kl, gamma, by_class = axes[0]
    assert [text.get_text() for text in kl.texts] == ["no finite KL in closed form"]
    assert kl.get_title("left").startswith("VSC, α = 0.1, latent dimension = 4 (")
    np.testing.assert_allclose(gamma.collections[0].get_offsets()[:, 1], [1, 0.7, 0.4, 0.1], rtol=1e-6)
    assert gamma.get_xlabel() == "latents, the largest P(z ≠ 0) first"
    assert len(by_class.images) == 1
    assert "Without a KL, all are hollow, the largest P(z ≠ 0) first." in note(frame)
