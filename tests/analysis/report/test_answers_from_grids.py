# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
from typing import Any

import pytest

from analysis.report.answers_from_grids import describe_batch_size, describe_learning_rate, is_grid
from analysis.tables.series import NothingToDrawError
from tests.analysis.synthetic import SyntheticStudy

NAN = float("nan")
VALUES = {(16, 1e-3): -100.0, (16, 1e-2): -130.0, (64, 1e-3): -104.0, (64, 1e-2): -102.5}


def add_grid(study: SyntheticStudy, shift: float = 0.0, **settings: Any) -> None:
    """Two seeds in each cell, 1 nat below and above VALUES + shift."""
    for (batch_size, learning_rate), value in VALUES.items():
        for seed in (0, 1):
            place = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
            study.add(**{"model": "vae", "latent_dim": 8, "epochs": 3} | place | settings)
            study.trials[-1]["test/elbo"] = value + shift - 1 + 2 * seed


@pytest.fixture
def study() -> SyntheticStudy:
    made = SyntheticStudy()
    add_grid(made)
    return made


def test_each_batch_size_counts_with_its_best_learning_rate(study: SyntheticStudy) -> None:
    answer, _, table = describe_batch_size(study.tables()).partition("\n\n")
    gap = "16 less 64: 2.5"  # with each seed: no interval
    assert answer == (
        "each at its best learning rate, batch sizes from 16 to 64 differ in test ELBO by 2.50 nats per image. All "
        "train for as many epochs, so that a small batch takes more steps. Each cell of the table: the best mean over "
        "seeds, and its learning rate, chosen by these numbers; difference: 95% interval, paired by seed."
    )
    assert table.splitlines() == [
        "|  | batch size 16 | batch size 64 | smallest less largest |",
        "| --- | --- | --- | --- |",
        f"| VAE | −100.0 at 0.001 | −102.5 at 0.01 | {gap} |",
    ]


def test_of_several_configurations_the_one_with_the_widest_spread_is_named(study: SyntheticStudy) -> None:
    add_grid(study, shift=-20, model="vsc", alpha=0.2)
    for row in study.trials[-2:]:
        row["test/elbo"] -= 0.25
    answer = describe_batch_size(study.tables())
    assert "differ in test ELBO by 2.50 to 2.75 nats per image, most for VSC, α = 0.2." in answer
    assert "| VSC, α = 0.2 | −120.0 at 0.001 | −122.8 at 0.01 | 16 less 64: 2.8 |" in answer


def test_the_sizes_compared_are_those_at_the_ends_whichever_is_best() -> None:
    study = SyntheticStudy()
    add_grid(study)
    for row in [dict(row) for row in study.trials if row["batch_size"] == 64]:
        study.trials.append(row | {"trial_id": row["trial_id"] + "w", "batch_size": 32, "test/elbo": -90.0})
    for row in study.trials:
        row["test/elbo"] += 5.0 * (row["batch_size"] == 64)
    table = describe_batch_size(study.tables()).partition("\n\n")[2]
    assert table.splitlines()[-1] == "| VAE | −100.0 at 0.001 | −90.0 at 0.001 | −97.5 at 0.01 | 16 less 64: −2.5 |"


def test_differences_between_batch_sizes_are_paired_by_seed(study: SyntheticStudy) -> None:
    for row in study.trials:  # the seeds' own levels cancel, and one seed gains 1 nat at 64
        row["test/elbo"] += 30 * row["seed"] + (row["batch_size"] == 64) * row["seed"]
    half = 12.7062 * 0.5  # t(0.975, 1) * standard deviation / sqrt(2) of 2.5 and 1.5
    assert f"16 less 64: 2.0 ({2 - half:.1f} to {2 + half:.1f})".replace("-", "−") in describe_batch_size(
        study.tables()
    )


def test_where_something_steers_its_objective_is_compared() -> None:
    study = SyntheticStudy()
    add_grid(study, num_validation=300, objectives='["val/elbo"]', directions='["maximize"]')
    for i, value in enumerate(value for value in VALUES.values() for _ in range(2)):
        study.history[i]["val/elbo"] = value - 50
    assert "differ in validation ELBO by 2.50 nats per image" in describe_batch_size(study.tables())


def test_cells_without_a_value_are_counted_and_a_batch_size_without_any_says_so(study: SyntheticStudy) -> None:
    for learning_rate, status in ((1e-3, "diverged"), (1e-2, "running")):
        study.add("vae", 8, 0, batch_size=128, learning_rate=learning_rate, status=status, epochs=3)
    answer = describe_batch_size(study.tables())
    assert "Without a value: 1 diverged, 1 running." in answer
    assert "| VAE | −100.0 at 0.001 | −102.5 at 0.01 | no value | 16 less 64: 2.5 |" in answer


def test_the_best_learning_rate_is_told_overall_and_by_batch_size(study: SyntheticStudy) -> None:
    assert describe_learning_rate(study.tables()) == (
        "the best learning rate is\n\n- VAE: 0.001, with batch size 16 (test ELBO −100.0 nats per image); "
        "by batch size: 0.001 at 16, 0.01 at 64."
    )


def test_a_grid_of_both_is_known_by_its_tables(study: SyntheticStudy, random_search: SyntheticStudy) -> None:
    assert is_grid(study.tables())
    assert not is_grid(random_search.tables())
    study.trials = [row for row in study.trials if row["batch_size"] == 16]
    assert not is_grid(study.tables())


def test_a_grid_without_values_is_a_reason(study: SyntheticStudy) -> None:
    for row in study.trials:
        row["status"] = "running"
    with pytest.raises(NothingToDrawError, match="no trial of the grid has a value"):
        describe_batch_size(study.tables())
