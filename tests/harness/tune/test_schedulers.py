import math
import random
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ray.tune.schedulers import MedianStoppingRule
from ray.tune.schedulers.async_hyperband import _Bracket

from harness.datasets import identify_dataset
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.study import Study
from harness.tune.schedulers import _PastTrial, make_scheduler
from models.settings import TrialSettings

EPOCHS = 3


def make_earlier(
    scheduler: str, elbos: list[float], *, resource: str = "epochs", steps: int = 10, seconds: float = 1.0
) -> tuple[Study, list[Trial], dict[str, Result]]:
    """A study whose trials trained for three epochs before, each at one ELBO. steps, seconds: of an epoch."""
    rates = [0.001 * (k + 1) for k in range(len(elbos))]
    study = Study.model_validate(
        {
            "name": "known",
            "dataset": "digits",
            "defaults": {"epochs": EPOCHS},
            "space": [{"model": "vae", "latent_dim": 2, "learning_rate": {"grid": rates}}],
            "scheduler": {"name": scheduler} | ({"resource": resource} if resource != "epochs" else {}),
        }
    )
    trials = [Trial(TrialSettings(model="vae", latent_dim=2, learning_rate=rate), "digits", "hash") for rate in rates]
    results = {}
    for trial, elbo in zip(trials, elbos, strict=True):
        rows: list[Row] = [
            {"epoch": epoch, "step": epoch * steps, "seconds": seconds, study.metric: elbo}
            for epoch in range(1, EPOCHS + 1)
        ]
        results[trial.trial_id] = Result(status="finished", history=rows, evaluated=study.measures.evaluated)
    return study, trials, results


@pytest.mark.parametrize("name", ["median", "asha", "hyperband"])
@pytest.mark.parametrize("elbos", [[-10.0, -10.0, -10.0, -90.0, -10.0], [-90.0, -10.0, -10.0, -10.0, -10.0]])
def test_trials_of_an_earlier_run_are_replayed_to_their_end_however_good_the_others_were(
    name: str, elbos: list[float]
) -> None:
    """Tune's median rule would stop the worst of them as they are replayed, and ignore its later epochs."""
    scheduler: Any = make_scheduler(*make_earlier(name, elbos))
    newcomer: Any = _PastTrial("0" * 16)
    scheduler.on_trial_add(None, newcomer)
    assert scheduler.on_trial_result(None, newcomer, {"epoch": 1, "objective": -50.0}) == "STOP"


@pytest.mark.parametrize("seed", range(20))
def test_the_median_rule_decides_as_tunes_does(seed: int) -> None:
    """Also of trials whose process has died, and which report epochs again."""
    draw = random.Random(seed)
    study, trials, results = make_earlier("median", [draw.gauss(-50, 20) for _ in range(4)])
    ours: Any = make_scheduler(study, trials, results)
    tunes: Any = make_scheduler(study, trials, results)
    tunes._running_mean = partial(MedianStoppingRule._running_mean, tunes)
    reached: dict[Any, int] = {_PastTrial(f"{i:016x}"): 0 for i in range(8)}
    decisions: list[str] = []
    while reached:
        trial = draw.choice(list(reached))
        reached[trial] = max(reached[trial] - 3, 1) if draw.random() < 0.1 else reached[trial] + 1
        value = draw.choice([-60.0, -50.0, -40.0, draw.gauss(-50, 20)])
        report = {"epoch": reached[trial], "objective": value, "is_judged": draw.random() < 0.2}
        decision = ours.on_trial_result(None, trial, dict(report))
        assert decision == tunes.on_trial_result(None, trial, dict(report))
        decisions.append(decision)
        if decision == "STOP" or reached[trial] == 12:
            for scheduler in (ours, tunes):
                scheduler.on_trial_complete(None, trial, dict(report))
            del reached[trial]
    assert {"STOP", "CONTINUE"} == set(decisions)


def test_the_median_rule_looks_through_each_past_of_a_trial_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler: Any = make_scheduler(*make_earlier("median", [-10.0] * 5))
    asked, plain = 0, MedianStoppingRule._running_mean

    def count(self: MedianStoppingRule, trial: Any, time: float) -> Any:
        nonlocal asked
        asked += 1
        return plain(self, trial, time)

    monkeypatch.setattr(MedianStoppingRule, "_running_mean", count)
    for i in range(40):
        newcomer: Any = _PastTrial(f"{i:016x}")
        for epoch in range(1, EPOCHS + 1):
            assert scheduler.on_trial_result(None, newcomer, {"epoch": epoch, "objective": -10.0}) == "CONTINUE"
    assert asked <= 45 * EPOCHS + 5


@pytest.mark.parametrize("name", ["median", "asha", "hyperband"])
def test_an_epoch_that_was_judged_in_an_earlier_run_stops_no_trial_and_is_noted(name: str) -> None:
    scheduler: Any = make_scheduler(*make_earlier(name, [-10.0] * 5))
    worst: Any = _PastTrial("0" * 16)
    scheduler.on_trial_add(None, worst)
    judged = {"epoch": 1, "objective": -90.0, "is_judged": True}
    assert scheduler.on_trial_result(None, worst, judged) == "CONTINUE"
    assert "-90" in str(vars(scheduler)) + scheduler.debug_string() + str([vars(b) for b in brackets_of(scheduler)])
    if name == "median":  # ASHA and HyperBand look again at the next rung
        assert scheduler.on_trial_result(None, worst, {"epoch": 2, "objective": -90.0}) == "STOP"


@pytest.mark.parametrize("name", ["asha", "median"])
@pytest.mark.parametrize(
    ("resource", "spent", "decision"),
    [
        (
            "epochs",
            {},
            "STOP",
        ),  # its first epoch is worse than that of the others, which took a hundred times the steps
        ("steps", {"step": 10}, "CONTINUE"),
        ("steps", {"step": 1000}, "STOP"),
        ("seconds", {"train_seconds": 0.1}, "CONTINUE"),
        ("seconds", {"train_seconds": 12.0}, "STOP"),
    ],
)
def test_trials_are_compared_that_have_spent_as_much_of_the_resource(
    name: str, resource: str, spent: dict[str, float], decision: str
) -> None:
    scheduler: Any = make_scheduler(*make_earlier(name, [-10.0] * 5, resource=resource, steps=1000, seconds=10.0))
    newcomer: Any = _PastTrial("0" * 16)
    scheduler.on_trial_add(None, newcomer)
    report = {"epoch": 1, "step": 10, "train_seconds": 0.1, "objective": -50.0} | spent
    assert scheduler.on_trial_result(None, newcomer, report) == decision


@pytest.mark.parametrize("name", ["asha", "hyperband"])
@pytest.mark.parametrize("seed", range(5))
def test_by_epochs_a_bracket_decides_as_tunes_does(name: str, seed: int) -> None:
    """Also of trials whose process has died, and which report epochs again."""
    draw = random.Random(seed)
    study = edit_scheduler(make_earlier(name, [-10.0])[0], {"epochs": 27}, reduction_factor=3)
    ours: Any = make_scheduler(study, [], {})
    tunes: Any = make_scheduler(study, [], {})
    tunes._brackets = [_Bracket(1, 27, 3, s) for s in range(len(tunes._brackets))]
    trials: list[Any] = [_PastTrial(f"{draw.randrange(16**16):016x}") for _ in range(20)]
    values = {trial: [draw.choice([-60.0, -50.0, draw.gauss(-50, 20)]) for _ in range(27)] for trial in trials}
    reached, decisions = dict.fromkeys(trials, 0), []
    for scheduler in (ours, tunes):
        for trial in trials:
            scheduler.on_trial_add(None, trial)
    while reached:
        trial = draw.choice(list(reached))
        reached[trial] = max(reached[trial] - 3, 1) if draw.random() < 0.1 else reached[trial] + 1
        report = {"epoch": reached[trial], "objective": values[trial][reached[trial] - 1]}
        decision = ours.on_trial_result(None, trial, report)
        assert decision == tunes.on_trial_result(None, trial, report)
        decisions.append(decision)
        if decision == "STOP":
            for scheduler in (ours, tunes):
                scheduler.on_trial_complete(None, trial, report)
            del reached[trial]
    assert {"STOP", "CONTINUE"} == set(decisions)


@pytest.mark.parametrize("resource", ["steps", "seconds"])
@pytest.mark.parametrize("grace", [1, 100, 1000])
@pytest.mark.parametrize("is_better_large", [True, False], ids=["large", "small"])
def test_a_trial_that_is_better_at_every_step_is_never_stopped(
    resource: str, grace: int, is_better_large: bool
) -> None:
    """However many rungs a report jumps over, and whoever comes first."""
    study = edit_scheduler(make_earlier("asha", [-10.0])[0], {"batch_size": 2, "epochs": 40}, resource=resource)
    study = edit_scheduler(study, {}, grace=grace)
    scheduler: Any = make_scheduler(study, [], {})
    large = [_PastTrial(f"{i:016x}") for i in range(6)]
    small = [_PastTrial(f"{i:016x}") for i in range(6, 12)]
    better = (large if is_better_large else small)[-1]
    for trials, steps in ((small[:-1], 1563), (large, 98), (small[-1:], 1563)):
        for trial in trials:
            scheduler.on_trial_add(None, trial)
            for spent in range(steps, 12505, steps):
                value = -200 + 90 * (1 - math.exp(-spent / 3000)) + 3 * (trial is better)
                report = {"step": spent, "train_seconds": float(spent), "objective": value}
                decision = scheduler.on_trial_result(None, trial, report)
                assert trial is not better or decision == "CONTINUE"


def test_by_steps_the_worst_is_stopped_where_it_stands_beside_others() -> None:
    study = edit_scheduler(make_earlier("asha", [-10.0])[0], {"epochs": 40}, resource="steps")
    scheduler: Any = make_scheduler(study, [], {})
    reached = []
    for i in range(5):
        trial: Any = _PastTrial(f"{i:016x}")
        scheduler.on_trial_add(None, trial)
        reports = [{"step": step, "objective": step - 100.0 * (i == 4)} for step in (100, 200)]
        reached.append([scheduler.on_trial_result(None, trial, report) for report in reports])
    assert reached == [["CONTINUE"] * 2] * 4 + [["STOP", "CONTINUE"]]


def edit_scheduler(study: Study, defaults: dict[str, Any], **scheduler: Any) -> Study:
    """The study with other settings and another scheduler."""
    fields = study.model_dump(mode="json", exclude_defaults=True)
    fields["defaults"] |= defaults
    fields["scheduler"] |= scheduler
    return Study.model_validate(fields)


def test_no_trial_is_stopped_because_it_took_many_steps() -> None:
    """The most that one can take are those of the smallest batch: Tune stops a trial that takes more."""
    space = [{"model": "vae", "latent_dim": 2, "batch_size": {"int": [10, 64]}}]
    fields = {"search": {"sampler": "random", "num_trials": 2}, "scheduler": {"name": "asha", "resource": "steps"}}
    study = Study.model_validate(
        {"name": "few", "dataset": "digits", "defaults": {"epochs": 3}, "space": space} | fields
    )
    scheduler: Any = make_scheduler(study, [], {})
    only: Any = _PastTrial("0" * 16)
    scheduler.on_trial_add(None, only)
    most = 3 * -(-identify_dataset("digits").num_train // 10)
    assert scheduler.on_trial_result(None, only, {"step": most - 1, "objective": -50.0}) == "CONTINUE"


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ({"name": "hyperband", "resource": "steps"}, "scheduler.resource: hyperband has none"),
        ({"name": "asha", "grace": 5}, "scheduler.grace: with resource: epochs it is grace_epochs"),
        (
            {"name": "asha", "resource": "seconds", "grace_epochs": 2},
            "scheduler.grace_epochs: asha counts seconds here",
        ),
    ],
)
def test_what_does_not_go_with_a_resource_is_refused(scheduler: dict[str, Any], words: str) -> None:
    space = [{"model": "vae", "latent_dim": 2}]
    with pytest.raises(ValueError, match=words):
        Study.model_validate({"name": "few", "dataset": "digits", "space": space, "scheduler": scheduler})


def brackets_of(scheduler: Any) -> list[Any]:
    return list(getattr(scheduler, "_brackets", []))


def test_a_trial_that_will_run_again_is_not_replayed() -> None:
    study, trials, results = make_earlier("asha", [-10.0, -10.0])
    told, again = (trial.trial_id for trial in trials)
    results[again] = replace(results[again], status="failed")
    text = str([vars(b) for b in brackets_of(make_scheduler(study, trials, results))])
    assert told in text
    assert again not in text
