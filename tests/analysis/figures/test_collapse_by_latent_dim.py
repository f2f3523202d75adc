import numpy as np
import pytest

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
    first = frame[frame["panel"] == 0]
    assert sorted(first.loc[first["trial_id"].notna(), "mean"]) == [3, 6]
    (mean,) = first[first["trial_id"].isna()].to_dict("records")
    assert (mean["mean"], mean["n"]) == (4.5, 2)


def test_a_panel_has_a_line_and_dots_for_each_series_that_has_its_metric(study: SyntheticStudy) -> None:
    frame = compute(study.tables())
    assert shape(frame) == (2, 2)
    axes = make_axes(2, 2)
    plot(frame, axes)
    assert [len(ax.collections) for ax in axes.flat] == [3, 2, 2, 2]  # the VAE has no gates
    assert [len(offsets.get_offsets()) for offsets in axes[0, 0].collections] == [4, 4, 4]
    dotted = [line for line in axes[1, 1].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(sorted(list(line.get_ydata()) for line in dotted), [[0.8, 3.2], [4.0, 16.0]])
    labels = [text.get_text() for text in axes[0, 1].get_legend().get_texts()]
    assert [label.partition(",")[0] for label in labels] == ["VAE (2 seeds)", "VSC", "VSC"]
    assert "nats" in axes[1, 0].get_title()


def test_a_search_shows_each_trial(random_search: SyntheticStudy) -> None:
    frame = compute(with_collapse(random_search).tables())
    plot(frame, make_axes(2, 2))
    assert note(frame).startswith("Each trial on its own")


def test_an_older_table_without_the_measures_is_a_reason(quickstart: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="no finished trial has a value of code/num_informative"):
        compute(quickstart.tables())
