"""What a run asks of a cluster that starts machines."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.interruption import Interrupted
from harness.tune import plan
from tests.harness.search.searching import ONE_SPACE
from tests.harness.small_studies import load


@pytest.mark.parametrize(
    ("more", "num_places"),
    [
        ("", 140),
        ("at_once: 2", 2),
        ("at_once: 200", 140),
        ("at_once: 2}\nconfirm: {top: 3, seeds: [0, 1]", 12),  # selected and confirmed all at once
    ],
)
def test_a_search_asks_for_no_more_places_than_it_lets_trials_run(
    more: str, num_places: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load(tmp_path, ONE_SPACE + f"search: {{sampler: tpe, num_trials: 150, {more}}}\n")
    run: Any = SimpleNamespace(study=study, is_stopping=True, interrupted=2, console=SimpleNamespace(print=print))
    run.source, run.list_open = SimpleNamespace(num_trials=150, trials=range(15)), lambda: range(5)
    asked: list[int] = []
    monkeypatch.setattr(plan, "make_room", lambda _, count, **__: asked.append(count))
    with pytest.raises(Interrupted):
        plan.make_plan(run, "mark")
    assert asked == [num_places]
