from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.tables import Tables, join_studies
from analysis.tables.configuration_table import list_metrics, tabulate_configurations
from analysis.tables.latex import escape, format_latex
from tests.analysis.synthetic import SyntheticStudy


def small_grid() -> Tables:
    study = SyntheticStudy()
    study.grid([0.2], [4, 8], seeds=3)
    return study.tables()


def test_a_configuration_has_the_mean_and_interval_of_its_finished_trials() -> None:
    tables = small_grid()
    tables.trials["test/elbo"] = [-10.0, -20.0, -11.0, -21.0, -15.0, -22.0, *[-5.0] * 6]
    frame = tabulate_configurations(tables, ["test/elbo"])
    assert list(frame.columns) == [
        *("model", "latent_dim", "alpha", "num_seeds", "num_lost"),
        *("test/elbo_mean", "test/elbo_low", "test/elbo_high", "test/elbo_n"),
    ]
    assert list(zip(frame["model"], frame["latent_dim"], strict=True)) == [
        ("vae", 4), ("vae", 8), ("vsc", 4), ("vsc", 8),
    ]  # fmt: skip
    first = frame.iloc[0]
    # mean 12, standard deviation sqrt(7), t(0.975, 2) = 4.302653
    half_width = 4.302653 * np.sqrt(7) / np.sqrt(3)
    assert (first["num_seeds"], first["num_lost"], first["test/elbo_n"]) == (3, 0, 3)
    assert first[["test/elbo_mean", "test/elbo_low", "test/elbo_high"]].tolist() == pytest.approx(
        [-12, -12 - half_width, -12 + half_width], abs=1e-5
    )


def test_trials_that_were_lost_are_counted_and_others_that_have_not_finished_are_left_out() -> None:
    tables = small_grid()
    trials = tables.trials
    trials.loc[trials["latent_dim"] == 8, "status"] = "diverged"
    trials.loc[0, "status"] = "failed"
    trials.loc[2, "status"] = "running"
    trials.loc[trials["status"] != "finished", "test/elbo"] = np.nan
    frame = tabulate_configurations(tables, ["test/elbo"])
    assert frame["num_seeds"].tolist() == [1, 0, 3, 0]
    assert frame["num_lost"].tolist() == [1, 3, 0, 3]
    assert frame["test/elbo_n"].tolist() == [1, 0, 3, 0]
    assert frame["test/elbo_low"].notna().tolist() == [False, False, True, False]


def test_a_trial_that_was_stopped_is_lost_where_another_seed_of_its_configuration_went_on() -> None:
    tables = small_grid()
    trials = tables.trials
    trials.loc[trials["latent_dim"] == 8, "status"] = "stopped"
    trials.loc[0, "status"] = "stopped"
    frame = tabulate_configurations(tables, ["test/elbo"])
    assert frame[["model", "num_seeds", "num_lost"]].to_numpy().tolist() == [["vae", 2, 1], ["vsc", 3, 0]]


def test_a_trial_that_joined_studies_share_counts_once_and_with_what_either_measured() -> None:
    one = small_grid()
    alone = tabulate_configurations(one, ["test/elbo", "test/loss"])
    other = replace(one, trials=one.trials.assign(**{"test/knn": 0.5}))
    other.trials.loc[0, ["status", "test/elbo"]] = "failed", np.nan
    for joined in (join_studies({"a": one, "b": other}), join_studies({"b": other, "a": one})):
        assert joined.trials["trial_id"].nunique() * 2 == len(joined.trials)
        frame = tabulate_configurations(joined, ["test/elbo", "test/loss", "test/knn"])
        assert frame["num_seeds"].tolist() == frame["test/knn_n"].tolist() == [3] * 4
        pd.testing.assert_frame_equal(frame[alone.columns], alone)


def test_phases_are_not_averaged_together_and_the_answer_comes_first() -> None:
    study = SyntheticStudy()
    for phase, num_validation, seeds in (("search", 300, [0]), ("select", 300, [1, 2]), ("confirm", 0, [0, 1, 2])):
        for seed in seeds:
            study.add("vae", 8, seed, phase=phase, num_validation=num_validation, sampler="random")
    frame = tabulate_configurations(study.tables())
    assert frame["phase"].tolist() == ["confirm", "select", "search"]
    assert frame["num_seeds"].tolist() == [2, 2, 1]  # to confirm without the seed of the search, which was lucky
    assert "num_validation" not in frame


def test_a_metric_of_epochs_counts_with_its_last_value() -> None:
    tables = small_grid()
    frame = tabulate_configurations(tables, ["test/loss", "train_seconds"])
    last = tables.history[tables.history["epoch"] == 30].set_index("trial_id")["test/loss"]
    vae = tables.trials[(tables.trials["model"] == "vae") & (tables.trials["latent_dim"] == 4)]
    assert frame["test/loss_mean"].iloc[0] == pytest.approx(last[vae["trial_id"]].mean())
    assert frame["train_seconds_mean"].iloc[0] == pytest.approx(vae["train_seconds"].mean())


def test_what_cannot_be_tabulated_is_refused_with_what_can() -> None:
    tables = small_grid()
    assert {"train_seconds", "test/elbo", "train/loss"} <= set(list_metrics(tables))
    with pytest.raises(AnalysisError, match=r"synthetic: no trial has test/x; choose with --metric among .*test/elbo"):
        tabulate_configurations(tables, ["test/x"])
    tables.trials["status"] = "running"
    with pytest.raises(AnalysisError, match="synthetic: no trial has ended"):
        tabulate_configurations(tables)


def test_latex_has_rules_units_and_an_interval_with_two_digits() -> None:
    tables = small_grid()
    tables.trials["test/elbo"] = [-10.0, -20.0, -10.5, -21.0, -10.2, -22.0, *[-5.0] * 6]
    tables.trials.loc[11, ["status", "test/elbo"]] = ["diverged", np.nan]
    lines = format_latex(tabulate_configurations(tables, ["test/elbo"])).splitlines()
    assert lines[2:] == [
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"model & latent dimension & $\alpha$ & test ELBO (nats per image) & seeds \\",
        r"\midrule",
        r"VAE & 4 & -- & $-10.23 \pm 0.63$ & 3 \\",
        r"VAE & 8 & -- & $-5 \pm 0$ & 3 \\",
        r"VSC & 4 & 0.2 & $-21.0 \pm 2.5$ & 3 \\",
        r"VSC & 8 & 0.2 & $-5 \pm 0$ & 2 of 3 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_an_interval_of_a_share_ends_at_one_and_latex_says_how_far_it_goes_both_ways() -> None:
    study = SyntheticStudy()
    for seed, value in enumerate((0.98, 0.99, 1.0)):
        study.add("vsc", 8, seed, 0.2)
        study.trials[-1]["code/nonzero_fraction"] = value
    frame = tabulate_configurations(study.tables(), ["code/nonzero_fraction"])
    assert frame["code/nonzero_fraction_high"].tolist() == [1.0]
    assert "$0.990^{+0.010}_{-0.025}$ & 3" in format_latex(frame)


def test_latex_writes_settings_with_as_few_digits_as_tell_them_apart() -> None:
    study = SyntheticStudy()
    for rate, link in ((0.00123412, "exp_relu"), (0.00123498, "sigmoid")):
        study.add("vsc", 8, 0, 0.2, learning_rate=rate, gamma_link=link)
    text = format_latex(tabulate_configurations(study.tables(), ["train_seconds", "code/hoyer"]))
    assert r"VSC & 0.2 & exp\_relu & 0.00123412 & " in text
    assert "training time (seconds) & test hoyer & seeds" in text


def test_every_character_that_latex_would_obey_is_escaped() -> None:
    assert escape("a_b 5% {x} #1 & $ ~ ^ \\ α") == (  # noqa: RUF001
        r"a\_b 5\% \{x\} \#1 \& \$ \textasciitilde{} \textasciicircum{} \textbackslash{} $\alpha$"
    )


def test_no_interval_of_a_share_leaves_0_to_1() -> None:
    study = SyntheticStudy()
    for seed, share in enumerate((0.9, 1.0)):
        study.add("vae", 4, seed)
        study.trials[-1]["code/nonzero_fraction"] = share
    row = tabulate_configurations(study.tables(), ["code/nonzero_fraction"]).iloc[0]
    assert row["code/nonzero_fraction_high"] == 1.0
