# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
import numpy as np
import pytest

from analysis.claims.disentanglement import SparseOverDense
from analysis.claims.quantity import UndecidableError
from analysis.tables import Tables
from tests.analysis.claims.judging import judge_one, keep
from tests.analysis.planted_claims import (
    CODED,
    EFFECTS,
    HOLDS,
    LINEAR,
    NUM_TRIALS,
    accuracy_beyond,
    accuracy_that_grows,
    collapsed,
    cost,
    edit,
    gained_bound,
    grow,
    guards,
    losses,
    narrowing_gap,
    plant,
    unit_norm,
)
from tests.analysis.synthetic import SyntheticStudy

SUPPORTED = EFFECTS["supported"]
SAME = ((1.0,) * 3, (1.0,) * 3)
T = 4.302653  # t(0.975, 2): the 95% interval of three seeds

# Optimum


def bound(by_dim: dict[int, float], spread: float = 0.01) -> SyntheticStudy:
    """Means are as given, as those of the effects are 1."""
    return grow(
        SUPPORTED,
        lambda _model, _alpha, dim, effect: {"test/elbo": by_dim[dim] + spread * dim / 24 * (effect - 1)},
        dims=by_dim,
    )


@pytest.mark.parametrize(
    ("by_dim", "against"),
    [
        ({8: -120, 24: -110, 200: -100}, "24 over 200"),  # still rising
        ({8: -100, 24: -110, 200: -120}, "24 over 8"),
        ({8: -100.1, 24: -100, 200: -110}, "rise less fall"),  # steeper than the rise
    ],
)
def test_a_bound_without_an_inner_optimum_or_a_slow_fall_is_not_as_claimed(
    by_dim: dict[int, float], against: str
) -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound(by_dim))
    assert verdict.outcome == "mixed"
    assert against in {part.name.partition(": ")[2] for part in verdict.parts if part.outcome == "refuted"}


def test_numbers_that_are_all_the_threshold_decide_nothing() -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound({8: -100, 24: -100, 200: -100}, spread=0))
    assert verdict.outcome == "undecided"
    assert verdict.parts[0].reason == "no spread between seeds: no interval"


def test_the_rise_and_the_fall_are_compared_per_latent() -> None:
    rise, fall, steeper = judge_one("true-bound-has-an-optimum", bound({8: -120, 24: -100, 200: -108})).parts[:3]
    assert (rise.mean, fall.mean, steeper.mean) == pytest.approx((20, 8, 20 / 16 - 8 / 176))
    assert (rise.unit, steeper.unit) == ("nats per image", "nats per image per latent")


def test_latent_dimensions_that_were_not_run_show_no_optimum() -> None:
    verdict = judge_one("true-bound-has-an-optimum", bound({8: -120, 24: -100}))
    assert verdict.reason.startswith("missing: VAE at latent dimension 200, seed 0 (not run)")


def test_a_quick_study_has_latent_dimensions_of_its_own() -> None:
    study = bound({2: -120, 8: -100, 64: -108})
    rise, fall, _ = judge_one("true-bound-has-an-optimum", study, "elbo-vs-latent-dim-quick").parts[:3]
    assert (rise.name, fall.name) == ("VAE: 8 over 2", "VAE: 8 over 64")


# Probes


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
    assert "a logit died in 8 of 48 runs, counted in" in part.note  # all of the last seed
    assert part.outcome == "undecided"
    study.add("vsc", 8, 0, 0.5)  # of no concern to the claim
    study.trials[-1] |= {f"{CODED}_dead_logits": 1, f"{CODED}_accuracy": 0.3}
    assert "a logit died in 8 of 48 runs" in judge_one("vsc-accuracy-beats-vae", study).parts[-1].note


def test_runs_with_a_dead_logit_are_left_out_of_the_variant_and_are_not_missing() -> None:
    study = accuracy_beyond(CODED, has_dead=True)(SUPPORTED)
    *_, at_48, at_200 = judge_one("vsc-accuracy-beats-vae-without-dead-logits", study).parts
    assert "a logit died in 8 of 48 runs, left out" in at_200.note
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
    assert part.name == "lead of VSC, α = 0.01, under report_coded less under linear, at latent dimension 200"


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


# Codes, training, guards


def test_a_fraction_proportional_to_alpha_has_slope_one() -> None:
    study = grow(SAME, lambda *args: {"code/nonzero_fraction": 0.9 * args[1]}, alphas=(0.01, 0.2, 0.5))
    assert judge_one("non-zero-fraction-follows-alpha", study).parts[0].mean == pytest.approx(1)


def test_codes_are_asked_to_be_sparse_where_alpha_is_small() -> None:
    study = grow(SAME, lambda *args: {"code/always_on_fraction": args[1]}, alphas=(0.2, 0.5))
    verdict = judge_one("codes-are-sparse", study)
    assert {part.name[:12] for part in verdict.parts} == {"VSC, α = 0.2"}
    tables = grow(SAME, lambda *args: {"code/always_on_fraction": args[1]}, alphas=(0.5,)).tables()
    assert judge_one("codes-are-sparse", tables).reason == "the study has no model with α of 0.2 or less"


def test_an_interval_of_a_share_stays_within_what_a_share_can_be() -> None:
    study = edit("edit/class_kept", 0.0, 1.0)(((0.9, 1.0, 1.0), (1.0, 1.0, 1.0)))
    part = judge_one("largest-latent-changes-the-shape", study).parts[0]
    assert part.high == 1
    assert part.low == pytest.approx(2.9 / 3 - T * (0.01 / 3) ** 0.5 / 3**0.5, abs=1e-5)


def test_a_difference_of_shares_stays_between_minus_one_and_one() -> None:
    study = edit("edit/changed_pixels_beyond_other", 0.0, 1.0)(((0.9, 1.0, 0.0), (0.0, 0.0, 0.0)))
    assert judge_one("largest-latent-changes-more-than-another", study).parts[0].high == 1


def test_one_alpha_shows_no_dependence_on_it() -> None:
    study = grow(SAME, lambda *args: {"code/nonzero_fraction": 0.9 * args[1], "code/always_on_fraction": 0.5})
    assert judge_one("non-zero-fraction-follows-alpha", study).reason == "missing: a second alpha"
    assert judge_one("sparsity-follows-alpha", study).reason == "the study has a single alpha"


def test_collapse_is_a_share_of_trials_with_its_exact_interval() -> None:
    parts = judge_one("small-alpha-collapses", collapsed(EFFECTS["mixed"])).parts
    at_24, at_200 = (part for part in parts if part.role == "primary")
    assert (at_24.mean, at_24.low, at_24.high) == pytest.approx((1, 0.025 ** (1 / NUM_TRIALS), 1))
    assert (at_200.mean, at_200.low, at_200.high) == pytest.approx((0, 0, 1 - 0.025 ** (1 / NUM_TRIALS)))
    assert at_24.note == "code/num_informative below 10"


def test_where_informative_latents_were_not_counted_collapse_is_told_by_active_ones() -> None:
    study = grow(SAME, lambda *args: {"code/active_units": 9.0})
    assert judge_one("small-alpha-collapses", study).parts[0].note == "code/active_units below 10"


def test_the_epoch_at_which_the_report_stopped_is_read_from_the_steps() -> None:
    study = losses(lambda *_: 105.0, after=100.0)(SAME)
    for history in study.history:
        history.loc[history["epoch"] == 10, "test/loss"] = 200.0  # an epoch too early
    part = judge_one("loss-still-falls", study).parts[0]
    assert (part.mean, part.note) == (5, "from epoch 11 on")  # 10 epochs are 18,750 steps
    for history in study.history:
        history["step"] = history["epoch"] * 1_000
    part = judge_one("loss-still-falls", study).parts[0]
    assert (part.mean, part.note) == (0, "from epoch 20 on")
    for history in study.history:
        history["step"] = history["epoch"] * 45  # too few images for so many steps
    part = judge_one("loss-still-falls", study).parts[0]
    assert (part.mean, part.note) == (5, "from epoch 11 on")


def test_what_was_still_to_gain_is_measured_to_the_lowest_level_not_to_the_last() -> None:
    study = losses(lambda *_: 105.0, after=100.0)(SAME)
    for history in study.history:
        history.loc[history["epoch"] > 30, "test/loss"] = 103.0  # overfitting
        history.loc[history["epoch"] == 20, "test/loss"] = 40.0  # one epoch is no level: 3 are, 20 nats lower
    assert judge_one("loss-still-falls", study).parts[0].mean == pytest.approx(25)


def test_a_training_no_longer_than_the_reports_shows_nothing_beyond_it() -> None:
    claim_id = "loss-still-falls"
    tables = plant(claim_id, "supported")
    short = Tables(tables.trials, tables.history[tables.history["epoch"] <= 11])
    assert "goes on beyond the report's epoch 11 (the longest has 11 epochs)" in judge_one(claim_id, short).reason


@pytest.mark.parametrize(
    ("epochs", "reason"),
    [(11, "no trial goes on beyond the report's 11 epochs"), (40, "no trial ends after the report's 11 epochs")],
)
def test_a_gap_needs_both_lengths(epochs: int, reason: str) -> None:
    tables = plant("gap-narrows-with-training", "supported")
    assert judge_one("gap-narrows-with-training", keep(tables, tables.trials["epochs"] == epochs)).reason == reason


def test_a_gap_is_compared_at_the_longest_of_several_lengths() -> None:
    study = narrowing_gap("test/elbo")(SAME)
    for seed in range(3):
        for model, alpha, bound_ in (("vae", np.nan, -90.0), ("vsc", 0.01, -95.0)):
            study.add(model, 200, seed, alpha, epochs=80)
            study.trials[-1]["test/elbo"] = bound_
    part = judge_one("true-gap-narrows-with-training", study).parts[0]
    assert (part.mean, part.note, part.unit) == (15, "from epoch 11 to 80", "nats per image")


def test_of_trials_that_share_a_training_the_longest_is_judged() -> None:
    study = losses(lambda _, effect: 104.0 + effect, after=100.0)(SUPPORTED)
    for seed in range(3):
        study.add("vae", 200, seed, epochs=11)
    verdict = judge_one("loss-still-falls", study)
    assert verdict.outcome == "supported"
    assert verdict.parts[0].mean == pytest.approx(5)


def test_the_cost_of_an_epoch_is_that_of_the_longest_training() -> None:
    study = cost(60.0, "cpu")(SAME)
    for seed in range(3):
        study.add("vae", 200, seed, epochs=1)
        study.trials[-1]["train_seconds"] = 1.0
    part = judge_one("epoch-takes-a-minute-on-a-cpu", study).parts[0]
    assert (part.mean, part.unit) == (59, "seconds per epoch")


def test_an_epoch_on_a_processor_says_nothing_of_a_card() -> None:
    study = cost(8.0, "cpu")(SAME)
    verdict = judge_one("epoch-takes-seconds-on-a-gpu", study)
    assert (verdict.outcome, verdict.reason) == ("undecided", "no trial was trained on a GPU")


def test_a_setting_that_makes_no_difference_lies_within_the_margin_on_both_sides() -> None:
    claim = "initialisation-makes-no-difference"
    part = judge_one(claim, plant(claim, "supported")).parts[0]
    assert (part.criterion, part.mean) == (("equivalent", 1), pytest.approx(0))
    verdict = judge_one(claim, plant(claim, "undecided"))
    assert verdict.reason == "the interval is neither within nor outside ±1"


def test_a_setting_that_one_seed_lacks_is_missing_with_its_value() -> None:
    tables = unit_norm(SUPPORTED).tables()
    is_kept = (tables.trials["pixel_scaling"] != "minmax") | (tables.trials["seed"] != 2)
    verdict = judge_one("unit-norm-reconstructs-worse", keep(tables, is_kept))
    assert verdict.reason == (
        "missing: VAE at latent dimension 24, seed 2 (not run), with pixel scaling = minmax (and 1 other reason)"
    )


def test_a_model_that_only_one_setting_has_is_missing() -> None:
    tables = unit_norm(SUPPORTED).tables()
    is_kept = (tables.trials["pixel_scaling"] == "minmax") | (tables.trials["model"] == "vae")
    verdict = judge_one("unit-norm-reconstructs-worse", keep(tables, is_kept))
    assert verdict.outcome == "undecided"
    assert "VSC, α = 0.2 at latent dimension 24, seed 0 (not run)" in verdict.reason


def test_the_true_bound_is_compared_within_each_training() -> None:
    study = gained_bound(SUPPORTED)
    for row in study.trials:
        row["test/elbo"] += 50 * row["seed"]  # what the seeds differ by falls out
    part = judge_one("twenty-thousand-iterations-are-too-few", study).parts[0]
    assert (part.mean, part.note, part.unit) == (pytest.approx(2), "from epoch 11 to 40", "nats per image")
    assert part.high - part.low < 0.1


def test_guards_are_judged_each_for_itself() -> None:
    study = guards(SUPPORTED)
    verdict = judge_one("unguarded-gamma-diverges", study)
    assert [(part.name.partition(" 24, ")[2], part.mean) for part in verdict.parts] == [
        ("the report's link, no clamp: diverged", 1),
        ("the report's link, clamp 1e-06: finite", 1),
        ("sigmoid, no clamp: finite", 1),
    ]
    assert [part.low for part in verdict.parts] == pytest.approx([0.025 ** (1 / NUM_TRIALS)] * 3)
    for row in study.trials:
        row["status"] = "diverged"
    verdict = judge_one("unguarded-gamma-diverges", study)
    assert [part.outcome for part in verdict.parts] == ["supported", "refuted", "refuted"]
    assert verdict.outcome == "mixed"


def test_a_kl_from_logits_is_no_part_of_the_reports_claim_but_of_ours() -> None:
    study = guards(SUPPORTED)
    for row in [row for row in study.trials if row["gamma_clamp"] > 0 or row["gamma_link"] == "sigmoid"]:
        study.add("vsc", 24, row["seed"], 0.01, gamma_link=row["gamma_link"], gamma_clamp=1e-6, kl_from="logits")
    verdict = judge_one("unguarded-gamma-diverges", study)
    assert (verdict.outcome, len(verdict.parts)) == ("supported", 3)
    verdict = judge_one("kl-from-logits-needs-no-clamp", study)
    found = {part.name.partition(" 24, ")[2]: (part.mean, part.outcome) for part in verdict.parts}
    assert found == {
        "the report's link, KL from logits: finite": (1, "supported"),
        "sigmoid, KL from logits: finite": (1, "supported"),
    }


def test_a_kl_from_logits_is_judged_with_either_link() -> None:
    tables = plant("kl-from-logits-needs-no-clamp", "supported")
    verdict = judge_one("kl-from-logits-needs-no-clamp", keep(tables, tables.trials["gamma_link"] == "exp_relu"))
    assert (verdict.outcome, verdict.reason) == ("undecided", "missing: trials with sigmoid")
    verdict = judge_one("kl-from-logits-needs-no-clamp", guards(SUPPORTED))
    assert (verdict.outcome, verdict.reason) == ("undecided", "the study has no KL from logits")


def test_guards_need_something_to_compare_with() -> None:
    tables = guards(SUPPORTED).tables()
    verdict = judge_one("unguarded-gamma-diverges", keep(tables, tables.trials["gamma_clamp"] == 0))
    assert verdict.outcome == "supported"
    verdict = judge_one("unguarded-gamma-diverges", keep(tables, tables.trials["gamma_clamp"] > 0))
    assert (verdict.outcome, verdict.reason) == ("undecided", "missing: trials without a guard")


def test_scores_are_compared_from_noise_to_perfect_codes_with_as_many_latents_and_only_where_codes_are_sparse() -> None:
    tables = plant("sparsity-disentangles-sprites", "supported")
    samples = SparseOverDense(score="factor_vae").measure(tables)
    scores = [sample for sample in samples if not sample.is_premise]
    assert [(sample.part, sample.latent_dim) for sample in scores] == [
        (f"VSC, α = {alpha} less VAE, at latent dimension {dim}", dim) for alpha in (0.01, 0.1) for dim in (10, 100)
    ]
    for sample in scores:  # of .5 from floor to ceiling, the VAE is at .2 and the VSC .05 above it
        assert sample.minus is not None
        np.testing.assert_allclose(sample.minus, 0.4)
        np.testing.assert_allclose(sample.values - sample.minus, 0.1 * np.array(HOLDS))
    # Where codes are not sparse, the premise fails, whatever the scores are.
    dense = tables.trials.assign(**{"code/nonzero_fraction": 0.7 + 0.01 * tables.trials["seed"]})
    verdict = judge_one("sparsity-disentangles-sprites", Tables(dense, tables.history))
    assert verdict.outcome == "refuted"
    assert all(part.outcome == "refuted" for part in verdict.parts if part.is_premise)
    with pytest.raises(UndecidableError, match=r"no finished trial has a value of disentanglement/mig"):
        SparseOverDense(score="mig").measure(tables)
