"""What trials cost the driver; `python -m tests.scale` measures more of them."""

import pytest

from tests.scale import measure


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
