from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.ledger import Result, Row, Trial
from harness.runner import StudyRun
from harness.study import Study
from harness.tune_adapter import _PastTrial, make_scheduler
from models.settings import TrialSettings

EPOCHS = 3


def make_run(scheduler: str, elbos: list[float]) -> StudyRun:
    """A study whose trials trained for three epochs in an earlier run, each at one ELBO."""
    rates = [0.001 * (k + 1) for k in range(len(elbos))]
    study = Study.model_validate(
        {
            "name": "known",
            "dataset": "digits",
            "defaults": {"epochs": EPOCHS},
            "space": [{"model": "vae", "latent_dim": 2, "learning_rate": {"grid": rates}}],
            "scheduler": {"name": scheduler},
        }
    )
    trials = [Trial(TrialSettings(model="vae", latent_dim=2, learning_rate=rate), "digits", "hash") for rate in rates]
    results = {}
    for trial, elbo in zip(trials, elbos, strict=True):
        rows: list[Row] = [{"epoch": epoch, study.metric: elbo} for epoch in range(1, EPOCHS + 1)]
        results[trial.trial_id] = Result(status="finished", history=rows)
    return cast(StudyRun, SimpleNamespace(study=study, source=SimpleNamespace(trials=trials), results=results))


@pytest.mark.parametrize("name", ["median", "asha", "hyperband"])
@pytest.mark.parametrize("elbos", [[-10.0, -10.0, -10.0, -90.0, -10.0], [-90.0, -10.0, -10.0, -10.0, -10.0]])
def test_trials_of_an_earlier_run_are_heard_to_their_end_however_good_the_others_were(
    name: str, elbos: list[float]
) -> None:
    """Tune's median rule would stop the worst of them, in the order of being told, and not take its later epochs."""
    scheduler: Any = make_scheduler(make_run(name, elbos))
    newcomer: Any = _PastTrial("0" * 16)
    scheduler.on_trial_add(None, newcomer)
    assert scheduler.on_trial_result(None, newcomer, {"epoch": 1, "objective": -50.0}) == "STOP"
