# ruff: noqa: RUF001  (a Greek letter, meant as one)

import numpy as np
import pytest

from analysis.drawing.style import contrast_to_white
from analysis.figures.rate_distortion import compute, plot
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy


def two_seeds() -> SyntheticStudy:
    study = SyntheticStudy()
    for seed, (rate, distortion) in enumerate(((10.0, 60.0), (14.0, 70.0))):
        study.add("vsc", 8, seed, alpha=0.2)
        study.trials[-1] |= {"test/rate": rate, "test/distortion": distortion}
    return study


def test_means_and_intervals_are_those_computed_by_hand() -> None:
    frame = compute(two_seeds().tables())
    (mean,) = frame[frame["trial_id"].isna()].to_dict("records")
    assert (mean["rate"], mean["distortion"], mean["n"]) == (12, 65, 2)
    # t(0.975, 1) = 12.7062; half of the difference is standard deviation / sqrt(2)
    assert mean["rate_high"] - mean["rate"] == pytest.approx(12.7062 * 2, abs=1e-3)
    assert mean["distortion"] - mean["distortion_low"] == pytest.approx(12.7062 * 5, abs=1e-3)


def test_each_seed_is_in_the_frame_too() -> None:
    frame = compute(two_seeds().tables())
    own = frame[frame["trial_id"].notna()]
    assert own[["rate", "distortion"]].to_numpy().tolist() == [[10, 60], [14, 70]]


def test_axes_have_names_and_units_and_means_are_drawn() -> None:
    ax = make_axes()[0, 0]
    plot(compute(two_seeds().tables()), ax)
    assert ax.get_xlabel() == "distortion (nats per image, lower is better)"
    assert ax.get_ylabel() == "rate (nats per image, lower is better)"
    assert [line.get_xydata().tolist() for line in ax.lines if line.get_label().startswith("VSC")] == [[[65, 12]]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["VSC, α = 0.2 (2 seeds)"]


def test_diagonals_join_points_of_equal_elbo(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    named = [text for text in ax.texts if "ELBO" in text.get_text()]
    assert len(named) >= 3
    for text in named:
        elbo = float(text.get_text().replace("ELBO", "").replace("\N{MINUS SIGN}", "-"))
        assert elbo == pytest.approx(-sum(text.get_position()))
    assert all(line.get_slope() == -1 for line in ax.lines if hasattr(line, "get_slope"))


def test_the_ends_of_a_series_name_their_latent_dimension(quickstart: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(quickstart.tables()), ax)
    named = [text.get_text() for text in ax.texts if "ELBO" not in text.get_text()]
    assert sorted(named) == ["2"] * 4 + ["32"] * 4
    assert all(contrast_to_white(text.get_color()) >= 4.5 for text in ax.texts)


def test_a_search_is_one_point_per_trial(random_search: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(random_search.tables()), ax)
    assert sum(len(item.get_offsets()) for item in ax.collections) == 40
    assert not [line for line in ax.lines if line.get_label().startswith("VSC")]


def test_one_trial_is_drawn_with_room_around(one_trial: SyntheticStudy) -> None:
    ax = make_axes()[0, 0]
    plot(compute(one_trial.tables()), ax)
    assert np.diff(ax.get_xlim())[0] >= 2
    assert np.diff(ax.get_ylim())[0] >= 2
