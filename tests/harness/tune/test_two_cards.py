"""Several cards: one engine for each, and what happens to one leaves the others alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(180)
def test_trials_spread_evenly_over_two_cards_and_an_engine_that_dies_takes_nobody_else_along(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.tune.two_cards", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    killed, other = seen["engines"]
    assert [engine["card"] for engine in (killed, other)] == ["0", "1"]
    assert killed["pid"] != other["pid"]
    assert [len(engine["trials"]) for engine in (killed, other)] == [2, 2]
    assert set(killed["trials"]).isdisjoint(other["trials"])
    assert (seen["num_done"], seen["num_failed"]) == (4, 0)
    assert sorted(seen["resumed"]) == sorted(killed["trials"])
