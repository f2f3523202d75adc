# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
"""What a claim says of classifiers on codes."""

import pytest

from analysis.tables import Tables
from tests.analysis.claims.judging import judge_one
from tests.analysis.planted_claims import (
    CODED,
    EFFECTS,
    LINEAR,
    accuracy_beyond,
    accuracy_that_grows,
    plant,
)
from tests.analysis.synthetic import SyntheticStudy

SUPPORTED = EFFECTS["supported"]
T = 4.302653  # t(0.975, 2): the 95% interval of three seeds


def test_the_advantage_is_told_for_each_latent_dimension_past_the_smaller_of_the_premise() -> None:
    study = accuracy_beyond(LINEAR)(SUPPORTED)
    for row in study.trials:
        if row["model"] == "vsc":  # 2 and 4 points at 48 and 200, whatever the seed
            row[f"{LINEAR}_accuracy"] = 0.86 + {8: -9, 24: 1, 48: 2, 200: 4}[row["latent_dim"]] / 100
    premise, *parts = judge_one("vsc-accuracy-beats-vae-linear", study).parts
    assert (premise.name, premise.is_premise, premise.mean) == ("VAE: 200 over 24", True, 0)
    assert [(part.name, part.mean, part.unit) for part in parts] == [
        ("VSC, α = 0.01, less VAE, at latent dimension 48", pytest.approx(2), "points"),
        ("VSC, α = 0.01, less VAE, at latent dimension 200", pytest.approx(4), "points"),
    ]
    assert parts[0].note == ""  # a linear probe has no logits that die


def test_where_the_vae_goes_on_growing_the_premise_of_the_claim_is_refuted() -> None:
    study = accuracy_beyond(CODED)(SUPPORTED)
    for row in study.trials:
        row[f"{CODED}_accuracy"] += row["latent_dim"] / 2000 + row["seed"] / 1e4
    verdict = judge_one("vsc-accuracy-beats-vae", study)
    assert (verdict.outcome, verdict.reason) == ("refuted", "its premise fails: VAE: 200 over 24")
    assert [part.name for part in verdict.shown] == ["VAE: 200 over 24"]
    assert verdict.parts[-1].outcome == "supported"  # which does not save the claim


def test_a_vae_that_grows_by_less_than_half_a_point_does_not_grow() -> None:
    study = accuracy_that_grows(LINEAR)(SUPPORTED)
    for row in study.trials:
        if row["model"] == "vae":
            row[f"{LINEAR}_accuracy"] = 0.8 + 0.004 * (row["latent_dim"] == 200) + row["seed"] / 1e5
    of_vsc, of_vae = judge_one("vsc-accuracy-grows-linear", study).parts
    assert (of_vae.mean, of_vae.outcome) == (pytest.approx(0.4), "supported")
    assert (of_vsc.name, of_vsc.mean, of_vsc.unit) == ("VSC, α = 0.01: 200 over 24", pytest.approx(1.5), "points")


def test_runs_with_a_dead_logit_are_counted_and_said() -> None:
    study = accuracy_beyond(CODED, has_dead=True)(SUPPORTED)
    part = judge_one("vsc-accuracy-beats-vae", study).parts[-1]
    assert "a logit died in 2 of 12 runs, counted in" in part.note  # both of the last seed
    assert part.outcome == "undecided"
    study.add("vsc", 8, 0, 0.5)  # of no concern to the claim
    study.trials[-1] |= {f"{CODED}_dead_logits": 1, f"{CODED}_accuracy": 0.3}
    premise, *_, at_200 = judge_one("vsc-accuracy-beats-vae", study).parts
    assert "a logit died in 2 of 12 runs" in at_200.note
    assert "a logit died in 2 of 12 runs" in premise.note  # the VAE's, at two latent dimensions
    for row in study.trials:
        if row["latent_dim"] == 200:
            row[f"{CODED}_dead_logits"] = 0
    premise, *_, at_200 = judge_one("vsc-accuracy-beats-vae", study).parts
    assert "a logit died in 0 of 12 runs" in at_200.note
    assert "a logit died in 1 of 12 runs" in premise.note


def test_runs_with_a_dead_logit_are_left_out_of_the_variant_and_are_not_missing() -> None:
    study = accuracy_beyond(CODED, has_dead=True)(SUPPORTED)
    *_, at_48, at_200 = judge_one("vsc-accuracy-beats-vae-without-dead-logits", study).parts
    assert "a logit died in 2 of 12 runs, left out" in at_200.note
    assert [(at.mean, at.num_seeds) for at in (at_48, at_200)] == [(pytest.approx(1), 5)] * 2
    for row in study.trials:
        if (row["model"], row["latent_dim"]) == ("vae", 200) and row["seed"] < 3:
            row[f"{CODED}_dead_logits"] = 2
    at_200 = judge_one("vsc-accuracy-beats-vae-without-dead-logits", study).parts[-1]
    assert (at_200.num_seeds, at_200.reason) == (2, "2 seeds where 3 are needed")


def test_dead_logits_that_were_not_counted_cannot_be_left_out() -> None:
    tables = plant("vsc-accuracy-beats-vae-without-dead-logits", "supported")
    verdict = judge_one(
        "vsc-accuracy-beats-vae-without-dead-logits",
        Tables(tables.trials.drop(columns=f"{CODED}_dead_logits"), tables.history),
    )
    assert verdict.reason == f"no finished trial has a value of {CODED}_dead_logits"


def test_an_advantage_by_probe_is_that_of_the_vsc_over_the_vae_under_each() -> None:
    study = accuracy_beyond(CODED, less="probe/linear_mu_5k")(SUPPORTED)
    part = judge_one("vsc-advantage-is-the-probes", study).parts[-1]
    assert part.mean == pytest.approx(1)
    assert part.name == (
        "lead of VSC, α = 0.01, under the report's probe less under logistic regression, at latent dimension 200"
    )


def test_probes_are_compared_at_each_latent_dimension_on_the_same_models() -> None:
    study = SyntheticStudy()
    for seed in range(3):
        study.add("vae", 24, seed)
        study.trials[-1] |= {
            "probe/linear_mu_all_accuracy": 0.2 * seed,
            "probe/mlp_mu_all_accuracy": 0.201 * seed + 0.01,
        }
    (part,) = judge_one("higher-capacity-helps", study, "accuracy-vs-latent-dim-quick").parts
    assert (part.name, part.mean) == ("VAE at latent dimension 24", pytest.approx(1.1))
    assert part.high - part.low == pytest.approx(2 * T * 0.1 / 3**0.5)  # paired: what the seeds differ by falls out


def test_a_study_without_the_alpha_of_a_claim_says_so() -> None:
    tables = plant("vsc-accuracy-beats-vae-linear", "supported")
    trials = tables.trials.assign(alpha=tables.trials["alpha"] * 50)
    verdict = judge_one("vsc-accuracy-beats-vae-linear", Tables(trials, tables.history))
    assert verdict.reason == "the study has no VSC with α = 0.01 or 0.05"


def test_the_first_alpha_of_a_claim_that_a_study_has_is_judged() -> None:
    study = accuracy_beyond(LINEAR)(SUPPORTED)
    for row in [row for row in study.trials if row["model"] == "vsc"]:
        study.add("vsc", row["latent_dim"], row["seed"], 0.05)
        study.trials[-1][f"{LINEAR}_accuracy"] = row[f"{LINEAR}_accuracy"] - 0.5
    assert judge_one("vsc-accuracy-beats-vae-linear", study).outcome == "supported"
    study.trials = [row for row in study.trials if row["alpha"] != 0.01]
    verdict = judge_one("vsc-accuracy-beats-vae-linear", study)
    assert verdict.outcome == "refuted"
    assert verdict.parts[1].name == "VSC, α = 0.05, less VAE, at latent dimension 48"
