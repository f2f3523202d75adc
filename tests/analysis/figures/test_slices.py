# ruff: noqa: RUF001  (a Greek letter, meant as one)

import numpy as np
import pytest

from analysis.figures.slices import FIGURE, find, note, shape
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy


def by_label(axes: np.ndarray):
    return {ax.get_xlabel(): ax for ax in axes.flat if ax.get_visible()}


def three_trials() -> SyntheticStudy:
    study = SyntheticStudy()
    study.add_searched(-30.0, learning_rate=0.01, hidden="[400]")
    study.add_searched(-20.0, learning_rate=0.001, hidden="[200]")
    study.add_searched(-10.0, learning_rate=0.0001, hidden="[400]", status="stopped")
    return study


def test_each_setting_is_a_panel_of_what_its_trials_reached() -> None:
    frame, axes = draw(FIGURE, three_trials().tables())
    rows = frame[frame["setting"] == "learning_rate"]
    assert rows[["at", "value"]].to_numpy().tolist() == [[0.01, -30], [0.001, -20], [0.0001, -10]]
    ax = by_label(axes)["learning rate"]
    points = {item.get_label(): item.get_offsets().tolist() for item in ax.collections}
    assert points == {"VAE, finished": [[0.01, -30], [0.001, -20]], "VAE, stopped early": [[0.0001, -10]]}
    assert axes[0, 0].get_ylabel() == "validation ELBO\n(nats per image, higher is better)"


def test_text_settings_have_a_place_per_level() -> None:
    frame, axes = draw(FIGURE, three_trials().tables())
    ax = by_label(axes)["hidden"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["[200]", "[400]"]
    places = np.concatenate([item.get_offsets()[:, 0] for item in ax.collections])
    assert sorted(np.abs(places).round()) == [0, 1, 1]
    assert "spread sideways" in note(frame)


def test_settings_take_the_scale_that_suits_them(random_search: SyntheticStudy) -> None:
    _, axes = draw(FIGURE, random_search.tables())
    scales = {name: ax.get_xscale() for name, ax in by_label(axes).items()}
    assert scales["learning rate"] == scales["α"] == scales["batch size"] == "log"
    assert scales["latent dimension"] == "linear"
    assert [tick.get_text() for tick in by_label(axes)["batch size"].get_xticklabels()] == ["16", "32", "64", "128"]


def test_a_setting_of_one_model_shows_that_model_alone_and_the_legend_all(random_search: SyntheticStudy) -> None:
    _, axes = draw(FIGURE, random_search.tables())
    assert [item.get_label() for item in by_label(axes)["α"].collections] == ["VSC, finished"]
    legend = [text.get_text() for text in axes[0, -1].get_legend().get_texts()]
    assert legend == ["VAE, finished", "VSC, finished", "the best trial"]


def test_many_settings_and_objectives_take_several_rows() -> None:
    study = SyntheticStudy()
    study.random_search(8, objectives='["val/rate", "val/elbo"]', directions='["minimize", "maximize"]')
    frame, axes = draw(FIGURE, study.tables())  # model, latent_dim, alpha, learning_rate, batch_size
    assert shape(frame) == (4, 3)
    assert [ax.get_ylabel().split("\n")[0] for ax in axes[:, 0]] == ["validation rate"] * 2 + ["validation ELBO"] * 2
    assert [ax.get_visible() for ax in axes[1]] == [True, True, False]


@pytest.mark.parametrize("far", [-1e6, -1e9])
def test_a_trial_far_off_does_not_set_the_scale(random_search: SyntheticStudy, far: float) -> None:
    random_search.history[3]["val/elbo"] += far
    frame, axes = draw(FIGURE, random_search.tables())
    assert all(ax.get_ylim()[0] > -1000 for ax in axes[:, 0])
    assert "Not shown of the validation ELBO: 1 value off the y axis, as far as \N{MINUS SIGN}1e+0" in note(frame)
    assert not any(ax.texts for ax in axes.flat), "where points of stopped trials lie"


def test_the_best_trial_has_a_star_and_the_title_its_settings() -> None:
    frame, axes = draw(FIGURE, three_trials().tables())
    ax = by_label(axes)["learning rate"]
    [star] = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_xydata().tolist() == [[0.001, -20]]  # of those that finished
    assert ax.get_title() == "best: 0.001"
    assert find(frame) == "best with hidden [200], learning rate 0.001"


def test_what_was_stopped_early_is_lighter_the_fewer_epochs_it_trained_for() -> None:
    study = SyntheticStudy()
    for trial, epochs in enumerate((3, 1, 2, 3)):
        study.add_searched(-10.0 - trial, learning_rate=0.001 * (trial + 1))
        if trial:
            study.trials[-1] |= {"status": "stopped", "epochs_trained": epochs}
    _, axes = draw(FIGURE, study.tables())
    points = {item.get_label(): item for item in by_label(axes)["learning rate"].collections}
    levels = [points[f"VAE, stopped after {words}"] for words in ("1 epoch", "2 epochs", "3 epochs")]
    shades = [float(sum(level.get_edgecolor()[0][:3])) for level in levels]
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == 3
    assert [level.get_offsets()[0][1] for level in levels] == [-11, -12, -13]
