"""What trials cost the driver, and a bucket; `python -m tests.scale` and `tests.scale_bucket` measure more of them."""

import os
from pathlib import Path
from unittest import mock

import pytest

from tests.scale import measure
from tests.scale_bucket import measure_reading, serving


@pytest.mark.slow
def test_trials_that_train_nothing_are_complete_and_running_them_again_costs_little() -> None:
    measured = measure(num_trials=200, epochs=5, num_metrics=3)
    print(measured)
    assert measured["done"] == 200
    assert measured["rows without an MLflow run"] == 0
    assert measured["again, trained"] == 0
    assert measured["again, s"] < 10
    assert measured["ms of processor time a trial"] < 150
    assert measured["open files, most"] < 1000
    first, *_, last = measured["by part"]
    assert last["files opened"] < 1.5 * first["files opened"] + 1  # for a trial, whatever there were before


@pytest.mark.slow
def test_finished_trials_are_read_from_a_bucket_as_from_a_folder(tmp_path: Path) -> None:
    with mock.patch.dict(os.environ), serving():
        measured = measure_reading(100, tmp_path)
    print(measured)
    for command in ("status", "plot"):
        processor = {
            how: measured[f"{command}, {how}, s and s of processor time"][1]
            for how in ("in a folder", "from a bucket", "again")
        }
        assert processor["again"] <= processor["from a bucket"] + 0.5
        assert processor["from a bucket"] < processor["in a folder"] + 5
