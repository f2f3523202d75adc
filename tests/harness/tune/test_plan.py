"""What a run asks of a cluster that starts machines, and of Tune."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune

from harness.interruption import Interrupted
from harness.study.sections import Resources
from harness.tune import plan
from harness.tune.run import _fit
from tests.harness.search.searching import ONE_SPACE
from tests.harness.small_studies import GOOD, load


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


def test_tune_ends_no_trial_before_the_judge_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(tune, "Tuner", lambda _, **options: asked.update(options) or SimpleNamespace(fit=lambda: None))
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "")  # put back afterwards
    run: Any = SimpleNamespace(study=load(tmp_path, GOOD), source=SimpleNamespace(trials=()), collect_results=dict)
    run.console = SimpleNamespace(print=print)
    nothing: Any = None
    _fit(run, nothing, plan.Plan(lambda _: None, Resources(), 1, None), SimpleNamespace(doubt=print))  # type: ignore[arg-type]
    assert asked["run_config"].failure_config.max_failures == -1
