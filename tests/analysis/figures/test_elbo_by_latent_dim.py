# ruff: noqa: RUF001  (a Greek letter, meant as one)

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from analysis.figures.elbo_by_latent_dim import compute, plot
from tests.analysis.axes import labels, make_axes
from tests.analysis.synthetic import SyntheticStudy


def three_seeds() -> SyntheticStudy:
    """VAE at latent_dim 8 and 16, whose test ELBO is -1, -2, -6 and -2, -3, -7 over three seeds."""
    study = SyntheticStudy()
    for latent_dim, shift in ((16, 1), (8, 0)):
        for seed, elbo in enumerate((-1.0, -2.0, -6.0)):
            study.add("vae", latent_dim, seed)
            study.trials[-1]["test/elbo"] = elbo - shift
    return study


def test_mean_and_interval_are_those_computed_by_hand() -> None:
    frame = compute(three_seeds().tables())
    half_width = 4.302653 * np.sqrt(7) / np.sqrt(3)  # t(0.975, 2) * standard deviation / sqrt(n)
    assert list(frame["latent_dim"]) == [8, 16]
    assert list(frame["mean"]) == [-3, -4]
    assert list(frame["low"]) == pytest.approx([-3 - half_width, -4 - half_width], abs=1e-5)
    assert list(frame["high"]) == pytest.approx([-3 + half_width, -4 + half_width], abs=1e-5)
    assert list(frame["n"]) == [3, 3]


def test_the_line_and_its_band_show_the_frame() -> None:
    ax = make_axes()[0, 0]
    frame = compute(three_seeds().tables())
    plot(frame, ax)
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[8, -3], [16, -4]]
    (band,) = (item for item in ax.collections if isinstance(item, PolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(frame["low"].min())
    assert heights.max() == pytest.approx(frame["high"].max())
    assert labels(ax) == ["2 intervals run beyond the axis", "VAE"]


def test_axes_have_names_and_units(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    assert ax.get_xlabel() == "latent dimensions"
    assert ax.get_ylabel() == "test ELBO (nats per image, higher is better)"
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "4", "8", "16", "32"]


def test_evenly_spaced_latent_dimensions_have_a_linear_axis() -> None:
    study = SyntheticStudy()
    study.grid([0.2], range(8, 201, 8), seeds=1)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert ax.get_xscale() == "linear"


def test_one_line_per_model_and_alpha(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    assert len(ax.lines) == 4
    assert len({line.get_color() for line in ax.lines}) == 4
    assert len({line.get_marker() for line in ax.lines}) == 4
    assert ax.lines[0].get_color() == "#0072B2"


def test_one_seed_has_no_band_and_lines_are_named_at_their_ends() -> None:
    study = SyntheticStudy()
    study.grid([0.2], [8, 16], seeds=1)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert labels(ax) == ["VAE", "VSC, α = 0.2"]
    bands = [band for band in ax.collections if isinstance(band, PolyCollection)]
    assert all(np.isnan(path.vertices).any() or not len(path) for band in bands for path in band.get_paths())


def test_a_search_is_points_without_lines_or_bands(random_search: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    tables = random_search.tables()
    plot(compute(tables), ax)
    assert not ax.lines
    points = np.concatenate([item.get_offsets() for item in ax.collections])
    assert sorted(points[:, 1]) == sorted(tables.trials["test/elbo"])
    assert labels(ax) == ["VAE (20 trials)", "VSC (20 trials)"]


def test_a_trial_far_off_does_not_set_the_scale_and_is_told(random_search: SyntheticStudy) -> None:
    random_search.trials[3]["test/elbo"] = -1e6
    ax = make_axes()[0, 0]
    plot(compute(random_search.tables()), ax)
    assert ax.get_ylim()[0] > -100
    assert [text.get_text() for text in ax.texts] == ["1 value off the y axis, as far as \N{MINUS SIGN}1e+06"]


def test_series_of_a_single_latent_dimension_stand_side_by_side() -> None:
    study = SyntheticStudy()
    study.grid([0.05, 0.2], [8], seeds=3)
    ax = make_axes()[0, 0]
    plot(compute(study.tables()), ax)
    assert len({line.get_xdata()[0] for line in ax.lines}) == 3
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["8"]
