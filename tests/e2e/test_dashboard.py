"""`spikeslab dashboard`: what it refuses; that it serves is tried with the searches."""

from pathlib import Path

from tests.e2e.conftest import Spikeslab


def test_a_study_without_a_history_has_no_dashboard(spikeslab: Spikeslab, folder: Path) -> None:
    done = spikeslab("dashboard", "tiny.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "optuna.db: no such file; tiny has no sampler that learns, or has not been run" in done.stderr
