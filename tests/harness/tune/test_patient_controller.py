"""A trial whose process dies, or fails, while it is handed over runs again; without a cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal import RayActorManager, TrackedActor
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import ActorDiedError, RayTaskError
from ray.train._internal import storage
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from harness.cluster.connect import quieten_ray
from harness.study.sections import Resources
from harness.tune.callbacks import Watcher
from harness.tune.driver import UnfitError
from harness.tune.failures import MAX_CRASHES, Judge
from harness.tune.filling import FillsSlots
from harness.tune.light_controller import LightController
from tests.harness.tune.test_failures import GONE, KILLED, Run

quieten_ray()


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightController:
    monkeypatch.setattr(storage, "_get_ray_train_session_dir", lambda: str(tmp_path))
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "2")  # else it asks a cluster
    for owner, name in ((LightController, "_remove_actor"), (RayActorManager, "remove_actor")):
        monkeypatch.setattr(owner, name, lambda *_, **__: None)  # there is no process to end
    run: Any = Run()
    return LightController(
        storage=StorageContext(storage_path=str(tmp_path), experiment_dir_name="study"),
        scheduler=FillsSlots(),
        callbacks=[Watcher(run, Resources())],
    )


def die(words: str, reason: int = NodeDeathInfo.UNEXPECTED_TERMINATION) -> ActorDiedError:
    """What Ray makes of a message from the cluster. reason: why the node is gone."""
    told = ActorDiedErrorContext(actor_id=b"1" * 16, error_message=words, node_death_info=NodeDeathInfo(reason=reason))
    return ActorDiedError(cause=told)


def hand_over(controller: LightController, max_failures: int) -> tuple[Trial, TrackedActor]:
    """A trial that is just being handed the process of another."""
    config = {"trial": SimpleNamespace(label="vsc, 5 latents")}
    options: dict[str, Any] = {"storage": controller._storage, "max_failures": max_failures}
    trial = Trial("nothing", config=config, trial_id="next", stub=True, **options)
    trial.init_local_path()
    controller.add_trial(trial)
    controller._staged_trials.add(trial)
    controller._actor_cache.increase_max(trial.placement_group_factory)
    process = TrackedActor(1)
    controller._trial_to_actor[trial], controller._actor_to_trial[process] = process, trial
    controller._resetting_trials.add(trial)
    return trial, process


@pytest.mark.parametrize("max_failures", [0, 3])
def test_a_process_that_dies_as_it_is_handed_over_costs_its_trial_one_crash(
    controller: LightController, max_failures: int
) -> None:
    trial, process = hand_over(controller, max_failures)
    died = ActorDiedError()
    controller._actor_failed(process, died)  # as Tune does in turn for each task of a process that died
    controller._trial_task_failure(trial, died)
    assert trial.num_failures == 1
    assert trial.status == (Trial.PENDING if max_failures else Trial.ERROR)
    assert trial not in controller._resetting_trials


def test_a_trial_that_fails_as_it_is_handed_a_process_runs_again(controller: LightController) -> None:
    trial, _ = hand_over(controller, max_failures=1)
    controller._trial_task_failure(trial, RuntimeError("the bucket does not answer"))
    assert (trial.status, trial.num_failures) == (Trial.PENDING, 1)
    assert trial not in controller._resetting_trials


def test_a_machine_that_is_drained_costs_no_crash_and_the_crash_after_it_is_judged(controller: LightController) -> None:
    scheduler, run = controller.scheduler_alg, Run()
    assert isinstance(scheduler, FillsSlots)
    scheduler.judge = Judge(run)
    trial, _ = hand_over(controller, max_failures=3)
    drained = die(GONE, NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED)
    assert drained.preempted, "which Ray counts as no failure"
    controller._trial_task_failure(trial, drained)
    assert (trial.status, trial.num_failures) == (Trial.PENDING, 0)
    controller._set_trial_status(trial, Trial.RUNNING)
    controller._trial_task_failure(trial, MemoryError("MemoryError"))
    assert (trial.status, trial.num_failures) == (Trial.PAUSED, 0)
    assert run.waiting == ["vsc, 5 latents"]


CRASHED, LEFT = die(KILLED), die(GONE)
ASKED = RayTaskError("step", "harness.tune.driver.UnfitError: worker-3 was asked to end", UnfitError("worker-3 ..."))


@pytest.mark.parametrize(
    ("failures", "num_crashes"),
    [
        ([CRASHED] * 3 + [LEFT], 3),
        ([CRASHED] * 3 + [ASKED] * 2, 3),
        ([CRASHED] * 4, 4),
        ([CRASHED] * 3 + [LEFT, CRASHED], 4),
    ],
)
def test_after_three_crashes_a_lost_machine_costs_nothing_and_a_crash_ends_the_trial(
    failures: list[Exception], num_crashes: int, controller: LightController
) -> None:
    scheduler, run = controller.scheduler_alg, Run()
    assert isinstance(scheduler, FillsSlots)
    scheduler.judge = Judge(run)
    trial, _ = hand_over(controller, max_failures=-1)
    for failure in failures:
        controller._set_trial_status(trial, Trial.RUNNING)
        controller._trial_task_failure(trial, failure)
    assert trial.num_failures == num_crashes
    if num_crashes > MAX_CRASHES:
        assert trial.status == Trial.TERMINATED
        assert run.ended == {"vsc, 5 latents": f"its process died: {KILLED}"}
    else:
        assert (trial.status, run.ended) == (Trial.PENDING, {})
