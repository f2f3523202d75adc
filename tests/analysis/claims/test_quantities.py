# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
import numpy as np
import pytest

from analysis.claims.disentanglement import SparseOverDense
from analysis.claims.quantity import UndecidableError
from analysis.tables import Tables
from tests.analysis.claims.judging import judge_one, keep
from tests.analysis.planted_claims import (
    EFFECTS,
    HOLDS,
    NUM_TRIALS,
    PLANTS,
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

SUPPORTED = EFFECTS["supported"]
SAME = ((1.0,) * 3, (1.0,) * 3)
T = 4.302653  # t(0.975, 2): the 95% interval of three seeds

# Codes, training, guards


def test_a_fraction_proportional_to_alpha_has_slope_one() -> None:
    study = grow(SAME, lambda *args: {"code/nonzero_fraction": 0.9 * args[1]}, alphas=(0.01, 0.2, 0.5))
    assert judge_one("non-zero-fraction-follows-alpha", study).parts[0].mean == pytest.approx(1)


def test_codes_are_asked_to_be_sparse_where_alpha_is_small() -> None:
    study = grow(SAME, lambda *args: {"code/always_on_fraction": args[1]}, alphas=(0.01, 0.2, 0.5))
    verdict = judge_one("codes-are-sparse", study)
    assert {part.name.partition(" at")[0] for part in verdict.parts} == {"VSC, α = 0.01", "VSC, α = 0.2"}
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


def test_a_model_with_fewer_latents_than_are_asked_for_says_nothing_of_collapse() -> None:
    """Eight latents are fewer than ten whatever they do; ten are not: planted without collapse, it is refuted."""
    first, second = ([-1.0] * NUM_TRIALS,) * 2
    study = grow((first, second), lambda *args: {"code/num_informative": float(args[2])}, dims=(8, 10, 200))
    verdict = judge_one("small-alpha-collapses", study, "elbo-vs-latent-dim-quick")
    assert (verdict.role, verdict.outcome, len(verdict.parts)) == ("exploratory", "refuted", 2)
    few = grow((first, second), lambda *args: {"code/num_informative": float(args[2])}, dims=(2, 8))
    verdict = judge_one("small-alpha-collapses", few, "elbo-vs-latent-dim-quick")
    assert verdict.reason == "no model has as many as 10 latents"


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


def test_what_is_trained_may_still_fall_where_the_loss_of_test_images_does_not() -> None:
    study = losses(lambda *_: 103.0, after=100.0, metric="train/loss")(SAME)
    for history in study.history:
        history["test/loss"] = 100.0
    assert judge_one("trained-loss-still-falls", study).parts[0].mean == pytest.approx(3)
    assert judge_one("loss-still-falls", study).parts[0].mean == pytest.approx(0)


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


def test_trials_whose_device_is_not_known_are_of_none() -> None:
    study = cost(8.0, "gpu")(SAME)
    for row in study.trials[::2]:
        row |= {"device": None, "train_seconds": 1e6}
    assert judge_one("epoch-takes-seconds-on-a-gpu", study).parts[0].mean == pytest.approx(7)


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


def test_seeds_that_a_study_has_at_another_latent_dimension_alone_are_no_missing_ones() -> None:
    """As gate-gradients has them: ten seeds at 200 latent dimensions, five of these at 24."""
    claim_id = "relaxed-gates-cost-the-bound-sigmoid"
    whole = PLANTS[claim_id](((*HOLDS, *HOLDS),) * 2).tables()
    trials = whole.trials[(whole.trials["latent_dim"] == 200) | (whole.trials["seed"] < 5)]
    verdict = judge_one(claim_id, Tables(trials, whole.history))
    assert [(part.num_seeds, part.reason) for part in verdict.parts] == [(5, ""), (10, "")]
    is_lost = (trials["estimator"] == "disarm") & (trials["latent_dim"] == 24) & (trials["seed"] == 3)
    verdict = judge_one(claim_id, Tables(trials[~is_lost], whole.history))
    lost = "VSC, α = 0.01 at latent dimension 24, seed 3 (not run), with estimator = disarm"
    assert [(part.num_seeds, part.reason) for part in verdict.parts] == [(4, f"missing: {lost}"), (10, "")]


def test_a_trial_of_some_settings_that_others_have_is_missing_where_one_of_them_is_judged() -> None:
    tables = plant("relaxed-gates-cost-the-bound-sigmoid", "supported")
    trials = tables.trials.assign(**{"code/always_on_fraction": 0.01 * tables.trials["seed"]})
    is_lost = (trials["estimator"] == "disarm") & (trials["latent_dim"] == 24) & (trials["seed"] == 3)
    verdict = judge_one("informative-latents-are-off-at-times", Tables(trials[~is_lost], tables.history))
    assert "missing: VSC, α = 0.01 at latent dimension 24, seed 3 (not run)" in [part.reason for part in verdict.parts]


def test_a_guard_lacks_no_seed_that_its_latent_dimension_was_not_asked_for() -> None:
    study = guards(SUPPORTED)
    for row in [row for row in study.trials if row["seed"] < 6]:
        study.add("vsc", 200, **{name: row[name] for name in ("seed", "alpha", "gamma_link", "gamma_clamp", "status")})
    parts = judge_one("unguarded-gamma-diverges", study).parts
    assert sorted((part.num_seeds, part.reason) for part in parts) == [(6, "")] * 3 + [(NUM_TRIALS, "")] * 3


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
