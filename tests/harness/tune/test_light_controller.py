"""Tune's controller that keeps nothing of trials that have ended; without a cluster."""

import gc
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, RayTaskError
from ray.train._internal.storage import StorageContext
from ray.tune.analysis import ExperimentAnalysis
from ray.tune.experiment import Trial
from ray.tune.utils.callback import _create_default_callbacks

from harness.cluster.connect import quieten_ray
from harness.commands.outcome import Outcome
from harness.study import Study
from harness.study.sections import Resources
from harness.tune import light_controller
from harness.tune.callbacks import Watcher
from harness.tune.light_controller import LightController
from harness.tune.processes import Processes, as_death


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightController:
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "2")  # else it asks a cluster
    return LightController(storage=StorageContext(storage_path=str(tmp_path), experiment_dir_name="study"))


def add_trial(controller: LightController, name: str) -> Trial:
    trial = Trial("nothing", trial_id=name, stub=True, storage=controller._storage)
    controller.add_trial(trial)
    controller._pending_trials_list.clear()  # as Tune does when it gives the trial a process
    controller._set_trial_status(trial, Trial.RUNNING)
    return trial


@pytest.mark.parametrize("status", [Trial.TERMINATED, Trial.ERROR])
def test_nothing_is_left_of_a_trial_that_has_ended(controller: LightController, status: str) -> None:
    ended, running = add_trial(controller, "ended"), add_trial(controller, "running")
    seen = controller.get_trials()  # as callbacks and schedulers hold them
    controller._set_trial_status(ended, status)
    controller.on_step_end()
    assert seen == [running]
    assert controller.get_live_trials() == {running}
    last = weakref.ref(ended)
    del ended
    gc.collect()
    assert last() is None
    assert not controller.is_finished()  # the other runs


def test_no_snapshot_is_written_but_the_one_that_tune_looks_for_at_the_end(controller: LightController) -> None:
    add_trial(controller, "running")
    folder = Path(controller.experiment_path)
    controller.checkpoint()
    assert list(folder.glob("experiment_state*")) == []
    controller.checkpoint(force=True, wait=True)
    (path,) = folder.glob("experiment_state*")
    assert path.stat().st_size < 100
    assert ExperimentAnalysis(str(folder)).trials == []


@pytest.mark.slow
def test_a_study_runs_with_tunes_own_parts(
    run: Callable[..., tuple[Outcome, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_controller, "ATTRIBUTES", (*light_controller.ATTRIBUTES, "_of_another_version"))
    settings: dict[str, Any] = {"defaults": {"hidden": [8], "batch_size": 128, "epochs": 1}, "evaluate": []}
    space = [{"model": "vae", "latent_dim": {"grid": [2, 3]}}]
    outcome, output = run(
        Study.model_validate(settings | {"name": "heavy", "dataset": "digits", "space": space, "figures": []})
    )
    assert outcome.num_done == 2
    assert output.count("is not as spikeslab knows it") == 1


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (OutOfMemoryError("low"), "aa11: low$"),
        (ObjectLostError("ab", None, ""), "aa11: .*Failed to retrieve object ab"),
    ],
)
def test_a_process_that_fails_as_tune_does_not_know_has_died_and_says_who_it_was(failure: Exception, said: str) -> None:
    """Tune itself takes the error for one that cannot be, and ends the study."""
    deaths: list[Exception] = []
    manager = Processes(Mock())
    process = manager.add_actor(Mock(), {}, Mock(), on_error=lambda _, error: deaths.append(error))
    started = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: "aa11"))
    manager._live_actors_to_ray_actors_resources[process] = (started, Mock())
    manager._actor_task_failed(SimpleNamespace(_tracked_actor=process, _on_error=None), failure)
    (death,) = deaths
    assert isinstance(death, RayActorError)
    assert re.match(f"actor {said}", str(death))


@pytest.mark.parametrize("failure", [RuntimeError("no luck"), RayTaskError("f", "", KeyError()), RayActorError()])
def test_what_tune_knows_stays_as_it_is(failure: Exception) -> None:
    assert as_death("aa11", failure) is failure


def test_tune_adds_no_callback_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its report of progress would keep each trial for good, even where it prints nothing."""
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "0")
    quieten_ray()
    watcher = Watcher(None, Resources())  # type: ignore[arg-type]
    assert _create_default_callbacks([watcher], air_verbosity=None) == [watcher]
