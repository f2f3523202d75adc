"""The figures that stand beside the report's own numbers, and those of what it observed in passing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from analysis import wording
from analysis.figures import (
    accuracy_by_latent_dim,
    accuracy_gain_by_latent_dim,
    losses_beside_reported,
    relaxed_elbo_by_latent_dim,
    training_cost,
)
from analysis.tables import Tables
from analysis.tables.reported_numbers import SECONDS_PER_EPOCH, are_as_reported, load_curves, load_training_curves
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy

CODED = accuracy_by_latent_dim.AS_CODED
DEAD = "probe/report_coded_mu_5k_dead_logits"


def as_the_report(**changes: Any) -> SyntheticStudy:
    study = SyntheticStudy(dataset="mnist")
    study.grid([0.5], [8, 24], seeds=3, epochs=11, **changes)
    return study


def test_the_reports_bound_is_in_nats_per_image() -> None:
    curve = load_curves("elbo_relaxed", "mnist").set_index(["model", "latent_dim"])["value"]
    assert curve["vae", 8] == pytest.approx(-3558.8611 * 313 / 10000)
    assert len(curve) == 50
    losses = load_training_curves("mnist")
    assert len(losses) == 1100
    final = losses[(losses["model"] == "vae") & (losses["latent_dim"] == 8) & (losses["epoch"] == 11)]
    # The same model, read off twice: in the figure and in its log.
    assert -curve["vae", 8] == pytest.approx(float(final["test_loss"].iloc[0]), rel=0.01)


def test_fashion_mnist_has_curves_of_its_own() -> None:
    curve = load_curves("elbo_relaxed", "fashion-mnist").set_index(["model", "alpha", "latent_dim"])["value"]
    assert curve["vsc", 0.2, 8] == pytest.approx(-8080.9033 * 313 / 10000)  # of a file that MNIST's name is on
    assert len(curve) == 75
    losses = load_training_curves("fashion-mnist")
    assert len(losses) == 924
    final = losses[(losses["alpha"] == 0.2) & (losses["latent_dim"] == 8) & (losses["epoch"] == 11)]
    assert -curve["vsc", 0.2, 8] == pytest.approx(float(final["test_loss"].iloc[0]), rel=0.01)
    assert load_training_curves("digits").empty
    assert load_curves("accuracy", "digits").empty


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_accuracies_are_shares(dataset: str) -> None:
    accuracies = load_curves("accuracy", dataset)
    assert accuracies["value"].between(0.2, 1).all()
    assert len(accuracies) == 50


def test_the_reports_curve_stands_beside_ours() -> None:
    frame = relaxed_elbo_by_latent_dim.compute(as_the_report().tables())
    vae = frame[(frame["model"] == "vae") & (frame["latent_dim"] == 8)].iloc[0]
    assert vae["reported"] == pytest.approx(-3558.8611 * 313 / 10000)
    axes = make_axes(*relaxed_elbo_by_latent_dim.shape(frame))
    assert axes.shape == (2, 1)
    relaxed_elbo_by_latent_dim.plot(frame, axes)
    ax, strip = axes[:, 0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-1] == "the report's own (1 seed)"
    assert ax.get_ylabel() == "relaxed test ELBO\n(nats per image, higher is better)"
    diamonds = next(line for line in ax.lines if line.get_marker() == "D" and line.get_linestyle() == "None")
    assert set(diamonds.get_ydata()) == set(frame["reported"].dropna())
    gain = vae["mean"] - vae["reported"]
    assert any(np.isclose(line.get_ydata()[0], gain) for line in strip.lines)
    assert "diamonds" in relaxed_elbo_by_latent_dim.note(frame)


def test_the_strip_of_differences_stands_below_the_curves_to_scale() -> None:
    study = as_the_report()
    study.grid([0.5], [2, 384], seeds=3, epochs=11)  # of which the report has none
    frame = relaxed_elbo_by_latent_dim.compute(study.tables())
    axes = make_axes(2, 1)
    relaxed_elbo_by_latent_dim.plot(frame, axes)
    ax, strip = axes[:, 0]
    assert (strip.get_xscale(), strip.get_xlim()) == (ax.get_xscale(), ax.get_xlim())
    assert list(strip.get_xticks()) == list(ax.get_xticks()) == [2, 8, 24, 384]


def test_each_dataset_stands_beside_its_own_curve() -> None:
    study = SyntheticStudy(dataset="fashion-mnist")
    study.grid([0.2], [8, 24], seeds=3, epochs=11)
    frame = relaxed_elbo_by_latent_dim.compute(study.tables())
    vsc = frame[(frame["model"] == "vsc") & (frame["latent_dim"] == 8)].iloc[0]
    assert vsc["reported"] == pytest.approx(-8080.9033 * 313 / 10000)
    both = Tables(pd.concat([study.tables().trials, as_the_report().tables().trials]), study.tables().history)
    assert relaxed_elbo_by_latent_dim.compute(both)["reported"].isna().all()


@pytest.mark.parametrize("changes", [{"learning_rate": 2e-3}, {"batch_size": 64}])
def test_trained_otherwise_there_is_nothing_of_the_reports_to_show(changes: dict[str, Any]) -> None:
    frame = relaxed_elbo_by_latent_dim.compute(as_the_report(**changes).tables())
    assert frame["reported"].isna().all()
    assert "diamonds" not in relaxed_elbo_by_latent_dim.note(frame)
    assert relaxed_elbo_by_latent_dim.shape(frame) == (1, 1)


def two_seeds_of_a_vae(**changes: Any) -> SyntheticStudy:
    """Two epochs each, with test losses of 1 and 3% above the report's, and train losses at it."""
    study = SyntheticStudy(dataset="mnist")
    reported = load_training_curves("mnist").query("model == 'vae' and latent_dim == 8 and epoch <= 2")
    for seed, factor in ((0, 1.01), (1, 1.03)):
        study.add("vae", 8, seed, epochs=2, **changes)
        losses = {"test/loss": factor * reported["test_loss"], "train/loss": reported["train_loss"]}
        study.history[-1] = study.history[-1].assign(**{name: values.to_numpy() for name, values in losses.items()})
    return study


def test_losses_are_percents_of_the_reports_own() -> None:
    tables = two_seeds_of_a_vae().tables()
    frame = losses_beside_reported.compute(tables)
    shown = frame.set_index(["split", "epoch"])["mean"]
    assert shown["test"].tolist() == pytest.approx([2, 2])
    assert shown["train"].tolist() == pytest.approx([0, 0])
    axes = make_axes(1, 1)
    losses_beside_reported.plot(frame, axes)
    assert axes[0, 0].get_ylabel() == "loss less the report's\n(percent of it)"
    assert [0.0, 0.0] in [list(line.get_ydata()) for line in axes[0, 0].lines]
    assert losses_beside_reported.note(frame).endswith("over seeds.")


def test_on_celeba_the_reports_curve_is_that_of_its_figure_7() -> None:
    curve = load_training_curves("celeba").set_index("epoch")
    assert len(curve) == 90
    assert curve.loc[[1, 10, 90], "test_loss"].round(2).tolist() == [1755.23, 1704.99, 1693.69]
    assert curve.loc[[1, 10, 90], "train_loss"].round(2).tolist() == [1835.47, 1705.62, 1692.81]

    study = SyntheticStudy(dataset="celeba")
    study.add("vsc", 800, 0, alpha=0.01, epochs=2, hidden="[2000, 2000]")
    losses = {"test/loss": 1.01 * curve["test_loss"][:2], "train/loss": 0.98 * curve["train_loss"][:2]}
    study.history[-1] = study.history[-1].assign(**{name: values.to_numpy() for name, values in losses.items()})
    frame = losses_beside_reported.compute(study.tables())
    assert "reported" not in frame  # in nats, on an axis of percents
    shown = frame.set_index(["split", "epoch"])["mean"]
    assert shown["test"].tolist() == pytest.approx([1, 1])
    assert shown["train"].tolist() == pytest.approx([-2, -2])
    study.trials[-1] |= {"hidden": "[400]"}
    with pytest.raises(NothingToDrawError, match="trained otherwise than the report's"):
        losses_beside_reported.compute(study.tables())


def test_of_tables_without_trials_no_losses_are_compared() -> None:
    tables = two_seeds_of_a_vae().tables()
    with pytest.raises(NothingToDrawError, match="no trial has finished"):
        losses_beside_reported.compute(Tables(tables.trials.head(0), tables.history.head(0)))


@pytest.mark.parametrize("changes", [{"pixel_scaling": "unit_norm"}, {"num_validation": 10_000}, {"dataset": "digits"}])
def test_of_trials_trained_otherwise_losses_are_not_compared(changes: dict[str, Any]) -> None:
    tables = two_seeds_of_a_vae(**changes).tables()
    with pytest.raises(NothingToDrawError, match="trained otherwise than the report's"):
        losses_beside_reported.compute(tables)


@pytest.mark.parametrize(
    "changes",
    [
        {"gamma_link": "sigmoid"},
        {"sharpness_schedule": "ramp"},
        {"sharpness": 60.0},
        {"gamma_clamp": 0.1},
        {"estimator": "disarm"},
        {"kl_from": "logits"},
        {"network": "residual"},
        {"activation": "tanh"},
        {"binarisation": "dynamic"},
    ],
)
def test_a_vsc_of_another_kind_is_not_the_reports(changes: dict[str, Any]) -> None:
    study = SyntheticStudy(dataset="mnist")
    study.add("vsc", 8, 1, alpha=0.2, epochs=11, **changes)
    study.add("vsc", 8, 1, alpha=0.2, epochs=11)
    study.add("vae", 8, 1, epochs=11)
    assert are_as_reported(study.tables().trials).tolist() == [False, True, True]


def with_probes() -> SyntheticStudy:
    study = as_the_report()
    for i, row in enumerate(study.trials):
        row |= {CODED: 0.5 + 0.01 * i, DEAD: float(row["seed"] == 1)}
        row |= {"probe/linear_mu_all_accuracy": 0.9}
    return study


def test_runs_in_which_a_logit_died_are_left_out_of_its_panel_only_and_counted() -> None:
    tables = with_probes().tables()
    trials = tables.trials
    frame = accuracy_by_latent_dim.compute(tables)
    coded, linear = (frame[frame["panel"] == panel] for panel in (0, 2))
    assert set(coded["n"]) == {2}
    assert set(linear["n"]) == {3}
    kept = trials[(trials["model"] == "vae") & (trials["latent_dim"] == 8) & (trials["seed"] != 1)]
    vae = coded[(coded["model"] == "vae") & (coded["latent_dim"] == 8)].iloc[0]
    assert vae["mean"] == pytest.approx(kept[CODED].mean())
    assert vae["reported"] == pytest.approx(load_curves("accuracy", "mnist")["value"].iloc[0])
    assert linear["reported"].isna().all()
    assert "4 of 12 runs, in which a logit died, so that its points are of 2 seeds" in accuracy_by_latent_dim.note(
        frame
    )
    axes = make_axes(*accuracy_by_latent_dim.FIGURE.shape(frame))
    accuracy_by_latent_dim.plot(frame, axes)
    assert axes[0, 0].get_ylabel() == "test accuracy (%)"
    assert [ax.get_xlabel() for ax in axes[0]] == ["latent dimensions"] * 2


def test_panels_that_share_an_axis_show_all_of_their_curves() -> None:
    study = with_probes()
    for row in study.trials:
        row |= {"probe/mlp_mu_all_accuracy": 0.98}
    frame = accuracy_by_latent_dim.compute(study.tables())
    axes = Figure().subplots(*accuracy_by_latent_dim.FIGURE.shape(frame), squeeze=False, sharey="row")
    accuracy_by_latent_dim.plot(frame, axes)
    for ax in axes.flat:
        low, high = ax.get_ylim()
        assert all(low < y < high for line in ax.lines for y in line.get_ydata())


@pytest.mark.parametrize("num_more", [0, 1])
def test_the_legend_of_accuracies_has_every_series_whatever_the_last_panel_shows(num_more: int) -> None:
    study = with_probes()
    for row in study.trials:  # no VAE in the last panel
        row.update(dict.fromkeys(list(accuracy_by_latent_dim.PANELS)[3 : 3 + num_more], 0.9))
        row |= {"probe/knn_z_all_accuracy": 0.9 if row["model"] == "vsc" else np.nan}
    frame = accuracy_by_latent_dim.compute(study.tables())
    axes = make_axes(*accuracy_by_latent_dim.FIGURE.shape(frame))
    accuracy_by_latent_dim.plot(frame, axes)
    told = [text.get_text() for text in axes[0, -1].get_legend().get_texts()]
    assert told == ["VAE (3 seeds)", f"VSC, {wording.ALPHA} = 0.5 (3 seeds)", "the report's own, one seed"]


def test_without_probes_there_is_no_accuracy() -> None:
    with pytest.raises(NothingToDrawError, match="no finished trial has a value of probe"):
        accuracy_by_latent_dim.compute(as_the_report().tables())


def cost_study() -> SyntheticStudy:
    study = SyntheticStudy(dataset="mnist")
    study.grid([0.5], [8, 24], seeds=3, epochs=2)
    for row in study.trials:
        row |= {name: np.nan for name in row if "/" in name}
        row |= {"train_seconds": 2.0 * (row["latent_dim"] + row["seed"] - 1), "peak_memory_mb": 500.0}
    return study


def test_seconds_are_those_of_an_epoch_beside_what_the_report_took() -> None:
    frame = training_cost.compute(cost_study().tables())
    seconds = frame[frame["panel"] == "seconds"].set_index(["model", "latent_dim"])["mean"]
    assert seconds["vae", 24] == pytest.approx(24.0)  # of 23, 24 and 25
    assert not frame["individual"].any()
    axes = make_axes(1, 2)
    training_cost.plot(frame, axes)
    assert [text.get_text() for text in axes[0, 0].texts] == ["the report, on a Titan Xp", "the report, on a CPU"]
    assert {line.get_ydata()[0] for line in axes[0, 0].lines} >= set(SECONDS_PER_EPOCH.values())
    assert axes[0, 1].get_ylabel() == "memory of the process at its most (MB)"


def test_a_study_of_something_else_shows_no_cost() -> None:
    with pytest.raises(NothingToDrawError, match="asks something else"):
        training_cost.compute(as_the_report().tables())


def test_accuracy_gains_are_points_over_the_vae_of_the_same_seed() -> None:
    study = as_the_report()
    for row in study.trials:
        base = 0.8 + 0.1 * row["seed"]  # seeds part ways, models hardly
        row |= {CODED: base + 0.02 * (row["model"] == "vsc"), DEAD: 0.0}
    study.trials[0][DEAD] = 1.0  # a VAE: its pair has no partner
    frame = accuracy_gain_by_latent_dim.compute(study.tables())
    assert set(frame["model"]) == {"vsc"}
    assert frame["mean"].tolist() == pytest.approx([2, 2])
    assert (frame["high"] - frame["low"]).max() < 1e-6
    assert sorted(frame["n"]) == [2, 3]
    axes = make_axes(*accuracy_gain_by_latent_dim.FIGURE.shape(frame))
    accuracy_gain_by_latent_dim.plot(frame, axes)
    assert axes[0, 0].get_ylabel() == "accuracy less the VAE's\n(points)"
    left_out = (
        "Left out of the first panel: 1 of 12 runs, in which a logit died, so that its points are of 2 to 3 seeds."
    )
    for figure in (accuracy_by_latent_dim, accuracy_gain_by_latent_dim):
        assert left_out in figure.note(figure.compute(study.tables()))


def test_a_line_is_broken_where_it_has_no_pair_and_a_point_of_one_seed_is_ringed() -> None:
    study = SyntheticStudy(dataset="mnist")
    study.grid([0.5], [8, 16, 24], seeds=3, epochs=11)
    for row in study.trials:
        row |= {CODED: 0.8 + 0.03 * row["seed"] * (row["model"] == "vsc"), "probe/linear_mu_all_accuracy": 0.9}
        row[DEAD] = float(row["latent_dim"] == 16 or (row["latent_dim"] == 24 and row["seed"] > 0))
    frame = accuracy_gain_by_latent_dim.compute(study.tables())
    axes = make_axes(*accuracy_gain_by_latent_dim.FIGURE.shape(frame))
    accuracy_gain_by_latent_dim.plot(frame, axes)
    means, ring, _ = axes[0, 0].lines
    assert np.isnan(means.get_ydata()).tolist() == [False, True, False]
    assert (ring.get_xdata().tolist(), ring.get_markerfacecolor()) == ([24], "none")
    assert ring.get_markersize() > means.get_markersize()
    bars = [item for item in axes[0, 0].collections if isinstance(item, LineCollection)]
    assert len(bars) == 1, "the interval of a point that has none beside it"
    assert len(axes[0, 1].lines) == 2
    note = accuracy_gain_by_latent_dim.note(frame)
    assert "so that its points are of 1 to 3 seeds; 1 point of no seed is not drawn." in note
    assert "Ringed: one seed" in note


def test_without_a_vae_there_is_no_gain() -> None:
    study = with_probes()
    study.trials = [row for row in study.trials if row["model"] == "vsc"]
    with pytest.raises(NothingToDrawError, match="no one VAE"):
        accuracy_gain_by_latent_dim.compute(study.tables())
