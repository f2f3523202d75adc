# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
import pandas as pd
import pytest

from analysis.report.answers_from_lengths import compute_gains, describe_convergence, describe_epochs, has_lengths
from analysis.tables.series import NothingToDrawError
from tests.analysis.synthetic import SyntheticStudy, falling

GAINS = (9.0, 10.0, 14.0)  # of 40 epochs over 11, by seed: mean 11, standard deviation sqrt(7)
HALF = 4.302653 * (7 / 3) ** 0.5  # t(0.975, 2) * standard deviation / sqrt(3)


@pytest.fixture
def study() -> SyntheticStudy:
    """Lengths 11 and 40, three seeds. The VAE is there from epoch 6, 8 and 10, or 20; the VSC is not, or later."""
    made = SyntheticStudy()
    for seed in range(3):
        for epochs in (11, 40):
            for latent_dim, model, until in (
                *((8, "vae", 6 + 2 * seed), (8, "vsc", 40)),
                *((16, "vae", 20), (16, "vsc", 12)),
            ):
                made.add(model, latent_dim, seed, 0.2 if model == "vsc" else float("nan"), epochs=epochs)
                made.history[-1]["test/loss"] = falling(until, epochs)
                gain = GAINS[seed] if model == "vae" else 30.0
                made.trials[-1]["test/elbo"] = -150.0 + 5 * seed + (gain if epochs == 40 else 0)
    return made


def rows_with_configuration(study: SyntheticStudy) -> pd.DataFrame:
    trials = study.tables().trials
    return trials.assign(configuration=trials.groupby(["latent_dim", "model"]).ngroup())


def test_the_gain_of_longer_training_is_paired_by_seed(study: SyntheticStudy) -> None:
    gains = compute_gains(rows_with_configuration(study))
    vae, vsc = gains.iloc[0], gains.iloc[1]
    assert (vae["mean"], vae["n"], vae["longest"]) == (11, 3, 40)
    assert vae["high"] - vae["mean"] == pytest.approx(HALF, abs=1e-5)
    assert (vsc["mean"], vsc["low"], vsc["high"]) == (30, 30, 30)  # the seeds' own levels cancel


def test_seeds_without_both_lengths_make_no_pair(study: SyntheticStudy) -> None:
    rows = rows_with_configuration(study)
    is_lost = (rows["model"] == "vae") & (rows["latent_dim"] == 8) & (rows["seed"] == 2) & (rows["epochs"] == 11)
    vae = compute_gains(rows[~is_lost]).iloc[0]
    assert (vae["mean"], vae["n"]) == (9.5, 2)


def test_the_length_to_compare_with_can_be_chosen(study: SyntheticStudy) -> None:
    assert compute_gains(rows_with_configuration(study), epochs=12).empty
    assert compute_gains(rows_with_configuration(study), epochs=40).empty


def test_how_far_from_converged_is_a_table_by_model_alpha_and_latent_dimension(study: SyntheticStudy) -> None:
    answer, _, table = describe_convergence(study.tables()).partition("\n\n")
    assert answer == (
        "the test ELBO after the longest training less that after 11 epochs is 11.0 to 30.0 nats per image. "
        "By configuration, paired by seed, mean and 95% interval:"
    )
    assert table.splitlines() == [
        "| model | α | latent dimension | epochs | seeds | difference (nats per image) |",
        "| --- | --- | --- | --- | --- | --- |",
        "| VAE | - | 8 | 40 | 3 | 11.0 (4.4 to 17.6) |",
        "| VSC | 0.2 | 8 | 40 | 3 | 30.00 (30.00 to 30.00) |",
        "| VAE | - | 16 | 40 | 3 | 11.0 (4.4 to 17.6) |",
        "| VSC | 0.2 | 16 | 40 | 3 | 30.00 (30.00 to 30.00) |",
    ]


def test_a_configuration_without_one_of_the_lengths_is_told(study: SyntheticStudy) -> None:
    for row in study.trials:
        if row["model"] == "vae" and row["latent_dim"] == 8 and row["epochs"] == 11:
            row["epochs"] = 12
    assert "nats per image (1 configuration lacked one of the two)." in describe_convergence(study.tables())


def test_one_seed_has_no_interval(study: SyntheticStudy) -> None:
    study.trials = [row for row in study.trials if row["seed"] == 0]
    assert "| VAE | - | 8 | 40 | 1 | 9.0 |" in describe_convergence(study.tables())


def test_epochs_are_told_by_configuration_and_summed_up_by_latent_dimension(study: SyntheticStudy) -> None:
    answer, _, lines = describe_epochs(study.tables()).partition("\n\n")
    assert answer == (
        "to stay within 1 nat per image of its plateau on test images, at latent dimension 8, 10 epochs were enough "
        "for 1 of 2 configurations, the rest cannot be said to be there after 40 epochs; at latent dimension 16, 20 "
        "epochs were enough for every seed of each configuration. Epoch by configuration, the first and the last of "
        "the seeds that got there:"
    )
    assert lines.splitlines() == [
        "- VAE, latent dimension = 8: from epochs 6 to 10 on, 3 of 3 seeds.",
        "- VSC, α = 0.2, latent dimension = 8: not yet after 40 epochs, 0 of 3 seeds.",
        "- VAE, latent dimension = 16: from epoch 20 on, 3 of 3 seeds.",
        "- VSC, α = 0.2, latent dimension = 16: from epoch 12 on, 3 of 3 seeds.",
    ]


def test_a_latent_dimension_at_which_nothing_flattens_says_so(study: SyntheticStudy) -> None:
    study.trials = [row for row in study.trials if row["model"] == "vsc" and row["latent_dim"] == 8]
    assert "at latent dimension 8, 1 configuration cannot be said to be there after 40 epochs." in describe_epochs(
        study.tables()
    )


def test_seeds_that_did_not_get_there_leave_the_configuration_out_of_those_for_which_it_is_enough(
    study: SyntheticStudy,
) -> None:
    for i, row in enumerate(study.trials):
        if row["model"] == "vae" and row["latent_dim"] == 8 and row["seed"] == 2 and row["epochs"] == 40:
            study.history[i]["test/loss"] = falling(40, 40)
    answer = describe_epochs(study.tables())
    assert "at latent dimension 8, 2 configurations cannot be said to be there after 40 epochs;" in answer
    assert "- VAE, latent dimension = 8: from epochs 6 to 8 on, 2 of 3 seeds." in answer


def test_where_images_are_held_out_they_are_named() -> None:
    study = SyntheticStudy()
    for epochs in (11, 40):
        study.add("vae", 8, 0, epochs=epochs, num_validation=300)
        study.history[-1]["val/elbo"] = [-loss for loss in falling(7, epochs)]
    answer = describe_epochs(study.tables())
    assert (
        "its plateau on validation images, at latent dimension 8, 7 epochs were enough for every seed of the one"
        in answer
    )


def test_lengths_are_known_by_the_tables(study: SyntheticStudy, random_search: SyntheticStudy) -> None:
    assert has_lengths(study.tables())
    random_search.trials[0]["epochs"] = 7
    assert not has_lengths(random_search.tables())  # a search over epochs reads no training off twice
    study.trials = [row for row in study.trials if row["epochs"] == 40]
    assert not has_lengths(study.tables())


def test_what_is_missing_is_a_reason(study: SyntheticStudy) -> None:
    for row in study.trials:
        row["epochs"] += 1
    with pytest.raises(NothingToDrawError, match="no configuration was read off both at 11 epochs and later"):
        describe_convergence(study.tables())
    study.trials = [row for row in study.trials if row["epochs"] == 12 or row["model"] == "vsc"]
    study.trials = [row for row in study.trials if (row["epochs"] == 12) == (row["model"] == "vae")]
    with pytest.raises(NothingToDrawError, match="no configuration has trained for two or more lengths"):
        describe_epochs(study.tables())
