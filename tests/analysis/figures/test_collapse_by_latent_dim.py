import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection

from analysis.figures.collapse_by_latent_dim import compute, note, plot, shape
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy, with_collapse


@pytest.fixture
def study() -> SyntheticStudy:
    study = SyntheticStudy()
    study.grid([0.1, 0.5], [8, 32], seeds=2)
    return with_collapse(study)


def test_means_and_single_seeds_are_those_of_the_table() -> None:
    study = SyntheticStudy()
    for seed in range(2):
        study.add("vsc", 8, seed, alpha=0.25)
    with_collapse(study)
    for trial, num in zip(study.trials, (3, 6), strict=True):
        trial["code/num_informative"] = num
    frame = compute(study.tables())
    (mean,) = frame[frame["panel"] == 0].to_dict("records")
    assert (mean["mean"], mean["n"], mean["by_seed"]) == (4.5, 2, "3 6")
    assert mean["high"] == pytest.approx(4.5 + 12.7062 * 1.5, abs=1e-3)  # t(0.975, 1)


def test_a_panel_has_a_line_and_dots_for_each_series_that_has_its_metric(study: SyntheticStudy) -> None:
    frame = compute(study.tables())
    assert shape(frame) == (2, 2)
    axes = make_axes(2, 2)
    plot(frame, axes)
    dots, bands = (
        [[item for item in ax.collections if isinstance(item, kind)] for ax in axes.flat]
        for kind in (PathCollection, PolyCollection)
    )
    assert list(map(len, dots)) == list(map(len, bands)) == [3, 2, 2, 2]  # the VAE has no gates
    assert [len(item.get_offsets()) for item in dots[0]] == [4, 4, 4]
    dotted = [line for line in axes[1, 1].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(sorted(list(line.get_ydata()) for line in dotted), [[0.8, 3.2], [4.0, 16.0]])
    labels = [text.get_text() for text in axes[0, 1].get_legend().get_texts()]
    assert [label.partition(",")[0] for label in labels] == ["VAE (2 seeds)", "VSC", "VSC"]
    assert "nats" in axes[1, 0].get_title()


def test_the_caption_says_what_the_bands_are(study: SyntheticStudy) -> None:
    assert note(compute(study.tables())).startswith("Mean and 95% interval (Student t) over seeds; dots: each seed.")


def test_an_interval_that_nearly_reaches_zero_does_not_stretch_a_log_axis(study: SyntheticStudy) -> None:
    for trial in study.trials:
        trial["code/num_nonzero"] *= 1 + 0.17 * trial["seed"]
    axes = make_axes(2, 2)
    frame = compute(study.tables())
    plot(frame, axes)
    assert (frame.loc[frame["metric"] == "code/num_nonzero", "low"] < 0.02).all()
    assert 0.1 < axes[1, 1].get_ylim()[0] < 0.8


def test_a_search_shows_each_trial(random_search: SyntheticStudy) -> None:
    frame = compute(with_collapse(random_search).tables())
    plot(frame, make_axes(2, 2))
    assert note(frame).startswith("Each trial on its own")


def test_an_older_table_without_the_measures_is_a_reason(quickstart: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="no finished trial has a value of code/num_informative"):
        compute(quickstart.tables())


def test_only_models_whose_alpha_is_the_priors_have_a_line_of_what_it_would_have(study: SyntheticStudy) -> None:
    assert "Not drawn" not in note(compute(study.tables()))
    for seed in range(2):
        for latent_dim in (8, 32):
            study.add("vsc_learned_alpha", latent_dim, seed, alpha=0.25)
    frame = compute(with_collapse(study).tables())
    axes = make_axes(2, 2)
    plot(frame, axes)
    dotted = [line for line in axes[1, 1].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(sorted(list(line.get_ydata()) for line in dotted), [[0.8, 3.2], [4.0, 16.0]])
    assert "Not drawn of a VSC (learns α), whose setting α is not the prior's." in note(frame)  # noqa: RUF001
