"""The names of metrics in MLflow, and back."""

import pytest

from harness.metrics import COST_METRICS, EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS
from harness.tracking.metric_names import MARK, name_in_mlflow, name_in_tables

ADDED = ("train/total_correlation", "train/capacity", "train/alpha")  # by a model's own objective
OF_SPLITS = (*TRAIN_METRICS, *ADDED, *TEST_METRICS, *VALIDATION_METRICS)
IN_EVERY_EPOCH = (*OF_SPLITS, "seconds", "step", "sharpness", "pbt/alpha")
AT_THE_END = (*COST_METRICS, "peak_memory_mb", *(name for names in EVALUATION_METRICS.values() for name in names))


@pytest.mark.parametrize("at_end", [False, True])
def test_metrics_are_sorted_into_four_groups_and_found_again_by_their_names(at_end: bool) -> None:
    names = AT_THE_END if at_end else IN_EVERY_EPOCH
    sent = [name_in_mlflow(name, at_end=at_end) for name in names]
    assert {name.partition("/")[0] for name in sent} <= {"train", "val", "test", "final"}
    assert [name_in_tables(name) for name in sent] == [(name, at_end) for name in names]
    assert [name_in_tables(name) for name in names] == [(name, at_end) for name in names]  # as older versions sent them


def test_a_metric_of_a_split_keeps_its_name_and_others_say_when_they_are_measured() -> None:
    assert name_in_mlflow("test/elbo", at_end=True) == "test/elbo"
    assert name_in_mlflow("code/hoyer", at_end=True) == "final/code/hoyer"
    assert name_in_mlflow("seconds", at_end=False) == "train/seconds"
    assert name_in_mlflow(MARK, at_end=False) == MARK
