import numpy as np
import pandas as pd
import pytest

from analysis.metrics import metric_label
from analysis.tables import Tables
from analysis.tables.objectives import final_values, goal_label, goals, searched_values
from analysis.tables.series import NothingToDrawError
from tests.analysis.synthetic import SyntheticStudy


def small_search(*statuses: str, **changes: object) -> Tables:
    """A search whose trials have the validation ELBO -30, -20, -10 in their three epochs."""
    study = SyntheticStudy()
    for status in statuses:
        study.add("vae", 8, 0, sampler="random", epochs=3, status=status, **changes)
        study.history[-1]["val/elbo"] = [-30.0, -20.0, -10.0]
    return study.tables()


def test_goals_are_the_metrics_and_whether_they_are_maximised() -> None:
    tables = small_search("finished", objectives='["val/elbo", "train_seconds"]', directions='["maximize", "minimize"]')
    assert goals(tables.trials) == [("val/elbo", True), ("train_seconds", False)]


def test_values_are_those_of_the_last_epoch_and_numbers_count_from_one() -> None:
    study = SyntheticStudy()
    study.random_search(3)
    study.stop_early(1, epochs=5)
    tables = study.tables()
    values = final_values(tables.trials, tables.history)
    assert list(values["number"]) == [1, 2, 3]
    assert list(values["trial_id"]) == ["t00000", "t00001", "t00002"]
    assert list(values["epochs_trained"]) == [30, 5, 30]
    assert list(values["val/elbo"]) == [history["val/elbo"].iloc[-1] for history in study.history]


def test_the_last_epoch_counts_whatever_the_order_of_the_rows() -> None:
    tables = small_search("finished")
    values = final_values(tables.trials, tables.history[::-1])
    assert list(values["val/elbo"]) == [-10]


def test_an_epoch_that_was_not_measured_gives_way_to_the_one_before() -> None:
    tables = small_search("finished")
    tables.history.loc[2, "val/elbo"] = np.nan
    assert list(final_values(tables.trials, tables.history)["val/elbo"]) == [-20]


def test_only_finished_and_stopped_trials_have_reached_a_value() -> None:
    tables = small_search("finished", "stopped", "diverged", "failed", "running")
    values = final_values(tables.trials, tables.history)
    assert values["val/elbo"].isna().tolist() == [False, False, True, True, True]
    assert list(searched_values(tables.trials, tables.history)["number"]) == [1, 2]


@pytest.mark.parametrize("name", ["train_seconds", "test/elbo"])
def test_what_is_measured_at_the_end_comes_from_the_trials(name: str) -> None:
    tables = small_search("finished", "finished", objectives=f'["{name}"]', directions='["minimize"]')
    values = final_values(tables.trials, tables.history)
    assert list(values[name]) == list(tables.trials[name])


def test_a_trial_counts_only_with_a_value_of_every_objective() -> None:
    tables = small_search(
        "finished", "finished", objectives='["val/rate", "val/elbo"]', directions='["minimize", "maximize"]'
    )
    tables.history.loc[tables.history["trial_id"] == "t00000", "val/rate"] = np.nan
    assert list(searched_values(tables.trials, tables.history)["trial_id"]) == ["t00001"]


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        (small_search("running"), "no finished or stopped trial has a value of val/elbo"),
        (Tables(small_search("finished").trials.iloc[:0], pd.DataFrame()), "no trial has finished"),
        (
            Tables(small_search("finished").trials.assign(sampler="grid"), pd.DataFrame()),
            "a grid trains every point, so nothing was searched",
        ),
        (
            Tables(small_search("finished").trials, pd.DataFrame({"trial_id": [], "epoch": []})),
            "no finished or stopped trial has a value of val/elbo",
        ),
    ],
)
def test_a_study_in_which_nothing_was_searched_says_so(tables: Tables, reason: str) -> None:
    with pytest.raises(NothingToDrawError, match=reason):
        searched_values(tables.trials, tables.history)


@pytest.mark.parametrize(
    ("name", "is_maximised", "label"),
    [
        ("val/elbo", True, "validation ELBO (nats per image, higher is better)"),
        ("val/rate", False, "validation rate (nats per image, lower is better)"),
        ("test/loss", False, "test loss (nats per image, lower is better)"),
        ("train/loss", False, "training loss (nats per image, lower is better)"),
        ("val/nonzero_fraction", False, "validation non-zero fraction of the code (lower is better)"),
        ("train_seconds", False, "training time (seconds, lower is better)"),
        ("probe/lr_accuracy", True, "probe lr accuracy (higher is better)"),
    ],
)
def test_labels_have_units_and_say_which_way_is_better(name: str, is_maximised: bool, label: str) -> None:
    assert goal_label(name, is_maximised=is_maximised) == label
    assert label.startswith(metric_label(name))
