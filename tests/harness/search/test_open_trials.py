"""What still has to run of a study."""

from typing import Any

import pytest

from harness.ledger.result import Result
from harness.search.open_trials import needs_training


@pytest.mark.parametrize(
    ("status", "evaluated", "stops_early", "expected"),
    [
        ("running", [], False, True),
        ("failed", ["elbo"], False, True),
        ("failed", ["elbo"], True, True),
        ("finished", ["elbo", "sparsity"], False, False),
        ("finished", ["elbo"], False, False),
        ("finished", [], False, True),
        ("finished", ["sparsity"], True, True),
        ("stopped", [], True, False),
        ("stopped", [], False, True),
        ("diverged", [], False, False),
        ("diverged", [], True, False),
    ],
)
def test_what_ended_is_kept_and_what_did_not_runs(
    status: Any, evaluated: list[str], stops_early: bool, expected: bool
) -> None:
    result = Result(status=status, evaluated=evaluated)
    assert needs_training(result, evaluate=["elbo"], stops_early=stops_early) is expected


@pytest.mark.parametrize("stops_early", [False, True])
def test_a_trial_without_a_result_has_to_run(stops_early: bool) -> None:
    assert needs_training(None, evaluate=[], stops_early=stops_early)
