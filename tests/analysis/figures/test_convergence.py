# ruff: noqa: RUF001  (a Greek letter, meant as one)
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.convergence import FIGURE, REPORTED, compute, note, shape
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import draw
from tests.analysis.synthetic import SyntheticStudy


def test_mean_and_interval_per_epoch_are_those_computed_by_hand() -> None:
    study = SyntheticStudy()
    for seed, loss in enumerate((100.0, 104.0)):
        study.add("vae", 8, seed, epochs=2)
        study.history[-1]["test/loss"] = [loss, loss - 10]
    frame = compute(study.tables())
    test = frame[frame["split"] == "test"]
    assert list(test["epoch"]) == [1, 2]
    assert list(test["mean"]) == [102, 92]
    assert list(test["high"] - test["mean"]) == pytest.approx(2 * [12.7062 * 2], abs=1e-3)  # t(0.975, 1)


def curves(ax: Axes) -> list[Line2D]:
    """The lines of an axes but for the stars on them."""
    return [line for line in ax.lines if line.get_marker() != "*"]


def test_a_star_stands_on_the_curve_where_its_last_seed_comes_to_its_plateau() -> None:
    study = SyntheticStudy()
    for seed, fall in enumerate((6, 8)):  # epochs at 110, then 100 for ever
        study.add("vae", 8, seed, epochs=40)
        study.history[-1]["test/loss"] = np.where(np.arange(1, 41) <= fall, 110.0, 100.0)
    frame, axes = draw(FIGURE, study.tables())
    assert set(frame["plateau"]) == {9}  # that of the later seed, not of the mean: at 8 one still falls
    (star,) = (line for line in axes[0, 0].lines if line.get_marker() == "*")
    assert star.get_xydata().tolist() == [[9, 100]]
    legend = [text.get_text() for text in axes[0, -1].get_legend().get_texts()]
    assert legend[-1] == "from here on within 1 nat of its plateau"


def test_one_seed_that_falls_to_the_end_leaves_a_curve_without_a_star() -> None:
    study = SyntheticStudy()
    for seed in range(3):
        study.add("vae", 8, seed, epochs=40)
        study.history[-1]["test/loss"] = np.where(np.arange(40) < 6, 110.0, 100.0) if seed else 200.0 - np.arange(40)
    frame, axes = draw(FIGURE, study.tables())
    assert frame["plateau"].isna().all()
    assert len(curves(axes[0, 0])) == len(axes[0, 0].lines)
    assert "from here on" not in " ".join(text.get_text() for text in axes[0, -1].get_legend().get_texts())


def test_a_curve_that_still_falls_has_no_star() -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0, epochs=40)
    study.history[-1]["test/loss"] = 200.0 - np.arange(40)
    frame, axes = draw(FIGURE, study.tables())
    assert frame["plateau"].isna().all()
    assert len(curves(axes[0, 0])) == len(axes[0, 0].lines)


def test_train_is_dashed_and_test_is_solid_in_the_same_colour(one_trial: SyntheticStudy) -> None:
    _, axes = draw(FIGURE, one_trial.tables())
    test, train = curves(axes[0, 0])
    assert (test.get_label(), test.get_linestyle()) == ("VSC, α = 0.2, test", "-")
    assert (train.get_label(), train.get_linestyle()) == ("VSC, α = 0.2, train", "--")
    assert test.get_color() == train.get_color()
    assert list(test.get_ydata()) == list(one_trial.history[0]["test/loss"])


def test_where_images_are_held_out_their_loss_stands_in_for_the_test_images() -> None:
    study = SyntheticStudy()
    study.add("vsc", 8, 0, alpha=0.2, num_validation=300)
    _, axes = draw(FIGURE, study.tables())
    train, validation = curves(axes[0, 0])
    assert train.get_label() == "VSC, α = 0.2, train"
    assert validation.get_label() == "VSC, α = 0.2, validation"
    assert list(validation.get_ydata()) == list(study.history[0]["val/loss"])
    assert validation.get_linestyle() not in ("-", train.get_linestyle())
    legend = [text.get_text() for text in axes[0, -1].get_legend().get_texts()]
    assert legend[:3] == ["VSC, α = 0.2 (1 seed)", "validation images", "train images"]


def test_a_trial_measured_on_test_images_does_not_show_its_validation_images(one_trial: SyntheticStudy) -> None:
    one_trial.history[0]["val/loss"] = 1.0
    tables = one_trial.tables()
    assert set(compute(tables)["split"]) == {"test", "train"}


def test_of_trials_that_differ_only_in_epochs_the_longest_is_shown() -> None:
    study = SyntheticStudy()
    for seed, lengths in enumerate(((2, 4), (4, 2), (2,))):
        for length in lengths:
            study.add("vae", 8, seed, epochs=length)
            study.history[-1]["test/loss"] = 100.0 * (seed + 1)
    frame = compute(study.tables())
    test = frame[frame["split"] == "test"]
    assert list(test["epoch"]) == [1, 2, 3, 4]
    assert list(test["n"]) == [3, 3, 2, 2]  # the third seed has only come to 2 epochs
    assert list(test["mean"]) == [200, 200, 150, 150]
    assert set(test["series"]) == {"VAE"}


def test_one_column_per_model_and_one_row_for_the_smallest_median_and_largest_latent_dimension(
    quickstart: SyntheticStudy,
) -> None:
    _, axes = draw(FIGURE, quickstart.tables())
    titles = [[ax.get_title() for ax in row] for row in axes]
    assert titles == [[f"{model}, latent dimension {dim}" for model in ("VAE", "VSC")] for dim in (2, 8, 32)]
    assert [len(curves(ax)) for ax in axes[0]] == [2, 6]


def test_axes_have_names_and_units_and_the_legend_names_series_and_splits(quickstart: SyntheticStudy) -> None:
    _, axes = draw(FIGURE, quickstart.tables())
    assert {ax.get_ylabel() for ax in axes[:, 0]} == {"loss that is trained\n(nats per image, lower is better)"}
    assert {ax.get_xlabel() for ax in axes[-1]} == {"epoch"}
    assert [text.get_text() for text in axes[0, -1].get_legend().get_texts()] == [
        "VAE (3 seeds)",
        *(f"VSC, α = {alpha} (3 seeds)" for alpha in (0.05, 0.2, 0.5)),
        "test images",
        "train images",
        "from here on within 1 nat of its plateau",
    ]


def test_a_series_is_named_once_with_the_seeds_of_all_its_panels() -> None:
    study = SyntheticStudy()
    for latent_dim, seeds in ((8, range(2)), (24, range(3))):
        for seed in seeds:
            study.add("vae", latent_dim, seed)
    _, axes = draw(FIGURE, study.tables())
    legend = axes[0, -1].get_legend()
    assert [text.get_text() for text in legend.get_texts()][:3] == ["VAE (2 to 3 seeds)", "test images", "train images"]


def test_a_model_with_fewer_latent_dimensions_leaves_no_empty_panel() -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    study.grid([0.2], [4, 16], seeds=1)
    study.trials = [row for row in study.trials if row["model"] == "vsc" or row["latent_dim"] == 8]
    _, axes = draw(FIGURE, study.tables())
    assert [[ax.get_visible() for ax in row] for row in axes] == [[True, True], [False, True]]
    assert axes[0, 0].get_xlabel() == "epoch"
    assert axes[1, 1].get_ylabel()


def test_a_search_shows_each_trial_once_per_split(random_search: SyntheticStudy) -> None:
    frame, axes = draw(FIGURE, random_search.tables())
    assert shape(frame) == (1, 2)
    assert frame["low"].isna().all()
    for ax in axes[0]:
        assert [len(item.get_segments()) for item in ax.collections] == [20, 20]
        assert not ax.lines


def test_unfinished_trials_and_losses_that_are_not_finite_break_nothing(quickstart: SyntheticStudy) -> None:
    quickstart.add("vae", 8, 9, status="diverged")
    quickstart.history[-1]["test/loss"] = 1e30
    quickstart.history[0].loc[3, "test/loss"] = np.nan
    frame, axes = draw(FIGURE, quickstart.tables())
    assert frame["n"].min() == 2
    assert max(ax.get_ylim()[1] for ax in axes.flat) < 200


def test_trials_without_a_history_leave_no_empty_row(quickstart: SyntheticStudy) -> None:
    quickstart.history = quickstart.history[12:]  # those of latent_dim 2 are lost
    _, axes = draw(FIGURE, quickstart.tables())
    assert [ax.get_title() for ax in axes[:, 0]] == [f"VAE, latent dimension {dim}" for dim in (4, 16, 32)]


def test_a_history_without_losses_is_a_reason() -> None:
    study = SyntheticStudy()
    study.add("vae", 8, 0)
    tables = study.tables()
    with pytest.raises(NothingToDrawError, match="no finished trial has a loss in the history"):
        compute(replace(tables, history=tables.history.iloc[:0]))


def test_variants_of_one_model_have_colours_of_their_own() -> None:
    study = SyntheticStudy()
    for seed in (0, 1):
        for link in ("exp_relu", "sigmoid"):
            study.add("vsc", 8, seed, 0.2, gamma_link=link)
    _, axes = draw(FIGURE, study.tables())
    assert len({line.get_color() for line in curves(axes[0, 0])}) == 2


def test_the_note_says_that_the_loss_is_no_bound_of_the_sparse_model(quickstart: SyntheticStudy) -> None:
    tables = quickstart.tables()
    text = note(compute(tables))
    assert text.startswith("Mean and 95% interval (Student t) over seeds. 3 of 5 latent dimensions are shown. A VSC is")
    assert "unless its estimator is another" in text
    assert "worse than minus this loss" in text
    vae = tables.trials[tables.trials["model"] == "vae"]
    assert "VSC" not in note(compute(replace(tables, trials=vae)))


def test_on_celeba_the_reports_own_curve_stands_beside_ours() -> None:
    study = SyntheticStudy(dataset="celeba")
    study.add("vae", 800, 0, epochs=3, hidden="[2000, 2000]")
    study.add("vsc", 800, 0, alpha=0.01, epochs=3, hidden="[2000, 2000]")
    frame, axes = draw(FIGURE, study.tables())
    grey = [[line for line in ax.lines if line.get_color() == REPORTED["color"]] for ax in axes[0]]
    assert [len([line for line in of_model if np.isfinite(line.get_ydata()).any()]) for of_model in grey] == [0, 2]
    test, train = grey[1]
    assert test.get_ydata().tolist() == pytest.approx([1755.2298, 1733.7883, 1718.8977])
    assert (test.get_linestyle(), train.get_linestyle()) == ("-", "--")
    assert train.get_ydata().tolist() == pytest.approx([1835.4737, 1740.8248, 1724.1958])
    assert "the report's own" in [text.get_text() for text in axes[0, -1].get_legend().get_texts()]
    assert "Figure 7" in note(frame)

    study.trials[1] |= {"hidden": "[400]"}
    frame, axes = draw(FIGURE, study.tables())
    assert "reported" not in frame
    assert "Figure 7" not in note(frame)
