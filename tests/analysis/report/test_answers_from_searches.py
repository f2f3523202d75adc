# ruff: noqa: RUF001  (Greek letters and minus signs, meant as such)
from typing import Any

import pytest

from analysis.report.answers_from_searches import describe_confirmed_learning_rate, describe_winner, is_search
from analysis.tables.series import NothingToDrawError
from tests.analysis.synthetic import SyntheticStudy

# By alpha: validation ELBO, and test ELBO of three seeds.
REACHED = {0.05: (-101.0, (-99.0, -100.0, -101.0)), 0.2: (-103.0, (-100.0, -101.5, -102.5))}
WINNER = "VSC, α = 0.05, latent dimension = 24, learning rate = 0.002, batch size = 32, epochs = 3"


def search(**changes: Any) -> SyntheticStudy:
    study = SyntheticStudy()
    for alpha, (validation, test) in REACHED.items():
        settings = {"sampler": "tpe", "epochs": 3, "learning_rate": 0.002} | changes
        study.add("vsc", 24, 9, alpha, **settings)
        study.history[-1]["val/elbo"] = validation
        for seed, elbo in enumerate(test):
            study.add("vsc", 24, seed, alpha, **settings | {"phase": "confirm", "num_validation": 0})
            study.trials[-1]["test/elbo"] = elbo
    return study


def test_winner_and_runner_up_are_told_with_their_intervals_and_whether_they_differ() -> None:
    # Differences by seed: 1, 1.5, 1.5; mean 1.333, standard deviation 0.2887.
    runner_up = WINNER.replace("0.05", "0.2")
    assert describe_winner(search().tables()) == (
        f"the winner, chosen on validation images, is {WINNER}, with test ELBO −100.0 (−102.5 to −97.5) nats per image "
        f"over 3 seeds. Runner-up: {runner_up}, with test ELBO −101.3 (−104.5 to −98.2) nats per image over 3 seeds. "
        "Winner less runner-up, paired over 3 seeds: 1.33 (0.62 to 2.05), so they differ."
    )


def test_an_interval_that_holds_zero_is_no_sign_of_a_difference() -> None:
    study = search()
    study.trials[-1]["test/elbo"] = -90.0
    assert describe_winner(study.tables()).endswith("so it is undecided whether they differ.")


def test_too_few_seeds_in_common_are_told() -> None:
    study = search()
    for row in study.trials[-2:]:
        row |= {"status": "running", "test/elbo": float("nan")}
    assert describe_winner(study.tables()).endswith("They have 1 seed in common, too few to tell whether they differ.")


def test_a_winner_that_is_not_measured_yet_is_named_without_a_number() -> None:
    study = search()
    for row in study.trials[1:4]:
        row |= {"status": "running", "test/elbo": float("nan")}
    assert f"is {WINNER}, with test ELBO not yet measured." in describe_winner(study.tables())


def test_a_winner_near_an_end_of_what_was_tried_is_told() -> None:
    study = search()
    for alpha in (0.1, 0.4):
        study.add("vsc", 24, 0, alpha, sampler="tpe", epochs=3, learning_rate=0.002)
    assert "Note: α 0.05 lies near an end of what was tried, 0.05 to 0.4. Runner-up" in describe_winner(study.tables())
    study.add("vsc", 24, 0, 0.02, sampler="tpe", epochs=3, learning_rate=0.002)
    assert "Note" not in describe_winner(study.tables())


def test_a_lone_winner_has_no_runner_up() -> None:
    study = search()
    study.trials = study.trials[:4]
    assert describe_winner(study.tables()).endswith("No other configuration was confirmed and could be ranked.")


def test_the_winners_learning_rate_is_told() -> None:
    assert describe_confirmed_learning_rate(search().tables()) == (
        f"the confirmed winner has learning rate 0.002, with batch size 32 ({WINNER})."
    )


def test_a_search_is_known_by_its_sampler_or_by_what_it_confirmed(quickstart: SyntheticStudy) -> None:
    assert is_search(search().tables())
    assert is_search(search(sampler="grid", num_validation=300).tables())
    assert not is_search(quickstart.tables())


def test_a_study_that_trades_objectives_off_has_no_winner() -> None:
    changes = {"objectives": '["val/rate", "val/distortion"]', "directions": '["minimize", "minimize"]'}
    assert not is_search(search(**changes).tables())


def test_a_search_that_confirmed_nothing_is_a_reason(random_search: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="no configuration was trained again to confirm it"):
        describe_winner(random_search.tables())
