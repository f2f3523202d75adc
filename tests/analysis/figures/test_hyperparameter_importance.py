# ruff: noqa: RUF001  (a Greek letter, meant as one)
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.drawing.style import MODEL_COLOURS
from analysis.figures.hyperparameter_importance import (
    compute,
    infer_distribution,
    measure_importance,
    note,
    plot,
    shape,
)
from analysis.tables.objectives import count_best
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy


def search(num: int = 60, **changes: object) -> SyntheticStudy:
    """VAEs whose ELBO depends on the learning rate alone, and VSCs for which alpha alone matters."""
    study = SyntheticStudy()
    for _ in range(num):
        log_rate, log_alpha = study.rng.uniform(-4, -2), study.rng.uniform(-2, 0)
        settings = {"learning_rate": float(10**log_rate), "latent_dim": int(study.rng.integers(8, 200))} | changes
        study.add_searched(-10 * abs(log_rate + 3), **settings)
        study.add_searched(-10 * abs(log_alpha + 1), "vsc", float(10**log_alpha), **settings)
    return study


def importance_of(study: SyntheticStudy) -> pd.DataFrame:
    return compute(study.tables())


def test_the_setting_that_decides_has_the_largest_share_in_each_model() -> None:
    frame = importance_of(search())
    shares = {model: rows.set_index("setting")["share"] for model, rows in frame.groupby("model")}
    assert shares["vae"]["learning_rate"] > 0.8
    assert shares["vsc"]["alpha"] > 0.8
    assert set(shares["vae"].index) == {"learning_rate", "latent_dim"}
    assert set(shares["vsc"].index) == {"learning_rate", "latent_dim", "alpha"}


def test_shares_add_up_to_one_and_the_largest_stands_first() -> None:
    for _, rows in importance_of(search()).groupby("model"):
        assert rows["share"].sum() == pytest.approx(1)
        assert rows["share"].is_monotonic_decreasing


def test_the_shares_are_those_of_optuna_on_the_same_trials() -> None:
    rng = np.random.default_rng(0)
    rates, sizes = 10 ** rng.uniform(-4, -2, 100), rng.integers(8, 200, 100)
    losses = (np.log10(rates) + 3) ** 2 + sizes / 200
    own = optuna.create_study()
    distributions = {
        "learning_rate": FloatDistribution(rates.min(), rates.max(), log=True),
        "latent_dim": IntDistribution(int(sizes.min()), int(sizes.max())),
    }
    for rate, size, loss in zip(rates, sizes, losses, strict=True):
        params = {"learning_rate": float(rate), "latent_dim": int(size)}
        own.add_trial(optuna.create_trial(params=params, distributions=distributions, value=float(loss)))
    expected = optuna.importance.get_param_importances(own)  # its default: the best 10 of 100
    shares = measure_importance(pd.DataFrame({"learning_rate": rates, "latent_dim": sizes}), pd.Series(losses))
    assert shares.to_dict() == pytest.approx(expected)


def test_what_is_maximised_counts_the_other_way() -> None:
    study = search()
    frames = [importance_of(study)]
    for row, history in zip(study.trials, study.history, strict=True):
        row["directions"] = '["minimize"]'
        history["val/elbo"] *= -1
    frames.append(importance_of(study))
    pd.testing.assert_series_equal(frames[0]["share"], frames[1]["share"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1e-4, 1e-2]), FloatDistribution(1e-4, 1e-2, log=True)),
        (pd.Series([0.1, np.nan, 0.9]), FloatDistribution(0.1, 0.9)),
        (pd.Series([16, 64, 256]), IntDistribution(16, 256, log=True)),
        (pd.Series([8, 100, 200]), IntDistribution(8, 200)),
        (pd.Series(["[400]", "[200]", "[400]"]), CategoricalDistribution(["[200]", "[400]"])),
    ],
)
def test_a_setting_gets_the_domain_its_values_could_come_from(
    values: pd.Series, expected: optuna.distributions.BaseDistribution
) -> None:
    assert infer_distribution(values) == expected


@pytest.mark.parametrize(("num_trials", "best"), [(1, 1), (4, 2), (9, 4), (20, 5), (51, 6), (1000, 100)])
def test_the_best_are_a_tenth_or_five_or_half_but_never_none(num_trials: int, best: int) -> None:
    assert count_best(num_trials) == best


def test_stopped_trials_do_not_count() -> None:
    study = search()
    for _ in range(30):
        study.add_searched(1e6, learning_rate=5e-3, status="stopped")
    pd.testing.assert_frame_equal(importance_of(study), importance_of(search()))


def test_trials_that_break_a_constraint_are_not_among_the_best() -> None:
    """By value alone the latent dimension would decide: the best break a constraint there."""
    study = SyntheticStudy()
    for _ in range(60):
        log_rate, latent_dim = study.rng.uniform(-4, -2), int(study.rng.integers(8, 200))
        breaks = latent_dim > 150
        settings = {"learning_rate": float(10**log_rate), "latent_dim": latent_dim}
        value = latent_dim if breaks else -100 * abs(log_rate + 3)
        study.add_searched(value, **settings, violates="val/rate <= 9" if breaks else None)
    shares = importance_of(study).set_index("setting")["share"]
    assert shares["learning_rate"] > shares["latent_dim"]


@pytest.mark.parametrize(
    "study",
    [search(19), search(40, status="stopped")],
)
def test_too_few_finished_trials_are_a_reason(study: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="no model has 20 finished trials that differ in settings and value"):
        importance_of(study)


def test_settings_that_a_population_changed_have_no_importance() -> None:
    with pytest.raises(NothingToDrawError, match="PBT changes settings"):
        importance_of(search(scheduler="pbt"))


def test_trials_that_all_reached_the_same_are_a_reason() -> None:
    study = SyntheticStudy()
    for i in range(20):
        study.add_searched(-30.0, learning_rate=0.8**i)
    with pytest.raises(NothingToDrawError, match="differ in settings and value"):
        importance_of(study)


def test_bars_show_the_shares_with_their_values() -> None:
    frame = importance_of(search())
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    ax = axes[0, 1]
    rows = frame[frame["model"] == "vsc"]
    assert [bar.get_width() for bar in ax.patches] == list(rows["share"])
    assert [text.get_text() for text in ax.texts] == [f"{share:.2f}" for share in rows["share"]]
    assert ax.get_yticklabels()[0].get_text() == "α"
    assert ax.yaxis_inverted()
    assert ax.get_xlim() == (0, 1)
    assert ax.get_title() == "validation ELBO, VSC (60 trials)"
    assert ax.get_xlabel() == "share of the importance (PED-ANOVA)"
    assert mpl_hex(ax.patches[0].get_facecolor()) == MODEL_COLOURS["vsc"]
    assert "the best trials (6 of 60)" in note(frame)


def mpl_hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * part):02X}" for part in colour[:3])


def test_a_model_with_too_few_trials_has_no_panel() -> None:
    study = search(20)
    study.add_searched(-1, "beta-vae")
    frame = importance_of(study)
    assert list(frame["model"].unique()) == ["vae", "vsc"]


def test_optuna_is_silent_and_as_loud_as_before_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    before = optuna.logging.get_verbosity()
    with caplog.at_level(logging.DEBUG):
        importance_of(search(20))
    assert not caplog.records
    assert optuna.logging.get_verbosity() == before


def test_the_shares_do_not_depend_on_the_order_of_hashes() -> None:
    script = (
        "from tests.analysis.figures.test_hyperparameter_importance import importance_of, search;"
        "print(importance_of(search(20)).to_json())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
