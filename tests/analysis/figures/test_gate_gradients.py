"""The figure of estimators: what it groups, which gradients it takes, and what it refuses."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.drawing.style import QUIET
from analysis.figures import gate_gradients
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy

ESTIMATORS = ("relaxed", "straight_through", "disarm")


def make_study(*, alphas: tuple[float, ...] = (0.01, 0.2), **changes: Any) -> SyntheticStudy:
    study = SyntheticStudy()
    for alpha in alphas:
        for k, estimator in enumerate(ESTIMATORS):
            for seed in range(3):
                study.add("vsc", 200, seed, alpha, estimator=estimator, kl_from="gamma", **changes)
                study.trials[-1] |= {
                    "test/elbo": -150 + 10 * k + seed,
                    "code/gate_information": 1.0 + k,
                    **{f"gradient/{name}_noise": 5.0 + i + 10 * k for i, name in enumerate(ESTIMATORS)},
                    **{f"gradient/{name}_bias": 0.5 - 0.4 * i for i, name in enumerate(ESTIMATORS[:2])},
                }
    return study


def test_each_configuration_has_the_mean_of_its_seeds_and_the_gradient_that_trained_it() -> None:
    frame = gate_gradients.compute(make_study().tables())
    means = frame.groupby(["panel", "group", "estimator"])["mean"].first()
    first = "VSC, α = 0.01"  # noqa: RUF001
    assert means["test/elbo", first].to_dict() == {"relaxed": -149, "straight_through": -139, "disarm": -129}
    assert means["noise", first].to_dict() == {"relaxed": 5, "straight_through": 16, "disarm": 27}
    assert means["bias", first].to_dict() == pytest.approx({"relaxed": 0.5, "straight_through": 0.1})
    elbo = frame[(frame["panel"] == "test/elbo") & (frame["group"] == first) & (frame["estimator"] == "relaxed")]
    assert elbo["value"].tolist() == [-150, -149, -148]
    assert elbo["high"].iloc[0] - elbo["mean"].iloc[0] == pytest.approx(4.303 / 3**0.5, rel=1e-3)


def test_a_bias_that_is_lost_in_noise_counts_as_none_and_the_note_says_how_many() -> None:
    study = make_study()
    assert "not told from noise" not in gate_gradients.note(gate_gradients.compute(study.tables()))
    for row in study.trials:
        if row["seed"] == 0:
            row["gradient/relaxed_bias"] = np.nan
        if row["seed"] == 1 and row["alpha"] == 0.2:  # all of its gradients are lost
            row |= {name: np.nan for name in row if name.startswith("gradient/")}
    frame = gate_gradients.compute(study.tables())
    relaxed = frame[(frame["panel"] == "bias") & (frame["estimator"] == "relaxed")]
    assert relaxed.groupby("group", sort=False)["value"].apply(list).tolist() == [[0, 0.5, 0.5], [0, 0.5]]
    assert relaxed.groupby("group", sort=False)["mean"].first().tolist() == pytest.approx([1 / 3, 0.25])
    assert "Drawn as 0: the bias of 2 of 10 trials, not told from noise." in gate_gradients.note(frame)


def test_no_interval_leaves_the_range_of_its_measure() -> None:
    study = make_study()
    for row in study.trials:
        row |= {"code/always_on_fraction": 0.1 * row["seed"], "gradient/relaxed_bias": 0.1 * row["seed"]}
    frame = gate_gradients.compute(study.tables())
    rows = frame[frame["panel"].isin(["code/always_on_fraction", "bias"]) & (frame["estimator"] == "relaxed")]
    assert rows["panel"].nunique() == 2
    assert (rows["low"] == 0).all()


def test_every_seed_is_a_dot_and_rows_are_named_once() -> None:
    frame = gate_gradients.compute(make_study().tables())
    axes = make_axes(*gate_gradients.FIGURE.shape(frame))
    gate_gradients.plot(frame, axes)
    dots = [len(line.get_xdata()) for line in axes[0, 0].lines]
    assert sum(dots) == 18
    names = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    assert names == 2 * ["relaxed", "straight-through", "DisARM"]
    assert [text.get_text() for text in axes[0, 0].texts] == ["VSC, α = 0.01", "VSC, α = 0.2"]  # noqa: RUF001
    assert [text.xy[1] for text in axes[0, 0].texts] == [0, 4]
    assert list(axes[0, 0].get_yticks()) == [1, 2, 3, 5, 6, 7]
    assert "3 seeds" in gate_gradients.note(frame)


@pytest.mark.parametrize("sharpness", [50.0, 100.0])
def test_schedules_of_the_sharpness_stand_beside_their_estimator(sharpness: float) -> None:
    study = make_study(alphas=(0.01,), sharpness=sharpness)
    for row in [dict(row) for row in study.trials if row["estimator"] == "relaxed"]:
        shifted = {"trial_id": row["trial_id"] + "r", "sharpness_schedule": "ramp", "test/elbo": row["test/elbo"] + 3}
        study.trials.append(row | shifted)
    frame = gate_gradients.compute(study.tables())
    elbo = frame[frame["panel"] == "test/elbo"].groupby("label", sort=False)["mean"].first()
    assert elbo.to_dict() == {
        "relaxed, per epoch": -149, "relaxed, to 200": -146, "straight-through": -139, "DisARM": -129,
    }  # fmt: skip
    assert set(frame["group"]) == {"VSC"}, "the schedule is no group of its own"
    axes = make_axes(*gate_gradients.FIGURE.shape(frame))
    gate_gradients.plot(frame, axes)
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == list(elbo.index)
    assert f"how the sharpness of the gates goes on from {sharpness:g}." in gate_gradients.note(frame)
    assert "sharpness" not in gate_gradients.note(gate_gradients.compute(make_study().tables()))


def test_panels_grow_with_their_rows() -> None:
    frame = gate_gradients.compute(make_study().tables())
    assert gate_gradients.stretch(frame) == 1
    many = pd.concat([frame.assign(group=f"{k}") for k in range(21)])  # each of 3 rows, below one for its name
    assert gate_gradients.stretch(many) == 4


def test_the_axis_does_not_strike_out_the_names_of_groups() -> None:
    frame = gate_gradients.compute(make_study().tables())
    axes = make_axes(*gate_gradients.FIGURE.shape(frame))
    gate_gradients.plot(frame, axes)
    spine = axes[0, 0].spines["left"]
    assert len(axes[0, 0].texts) == 2
    for name in axes[0, 0].texts:
        assert name.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
        assert name.get_zorder() > spine.get_zorder()


def test_measures_that_a_table_lacks_have_no_panel() -> None:
    tables = make_study().tables()
    trials = tables.trials.drop(columns=[name for name in tables.trials if name.startswith("gradient/")])
    frame = gate_gradients.compute(type(tables)(trials, tables.history))
    assert set(frame["panel"]) == {"test/elbo", "code/gate_information"}


def test_an_estimator_without_a_colour_of_its_own_stands_last_in_grey() -> None:
    study = make_study(alphas=(0.01,))
    for row in study.trials:
        row["estimator"] = "arm" if row["estimator"] == "relaxed" else row["estimator"]
    frame = gate_gradients.compute(study.tables())
    assert list(dict.fromkeys(frame["label"])) == ["straight-through", "DisARM", "arm"]
    axes = make_axes(*gate_gradients.FIGURE.shape(frame))
    gate_gradients.plot(frame, axes)
    assert axes[0, 0].lines[-1].get_color() == QUIET


def test_one_estimator_or_other_settings_that_differ_are_refused() -> None:
    tables = make_study().tables()
    one = tables.trials[tables.trials["estimator"] == "disarm"]
    with pytest.raises(NothingToDrawError, match="the same estimator"):
        gate_gradients.compute(type(tables)(one, tables.history))
    study = make_study()
    study.trials[0]["beta"] = 2.0
    with pytest.raises(NothingToDrawError, match="differ in β, too"):
        gate_gradients.compute(study.tables())
    with pytest.raises(NothingToDrawError, match="estimator"):
        gate_gradients.compute(type(tables)(tables.trials.drop(columns="estimator"), pd.DataFrame()))
