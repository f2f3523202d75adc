"""Plan a run of a study on the cluster: what each trial takes, how many run at once, what trains them."""

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray import tune

from harness.cluster.room import check_room, make_room
from harness.interruption import Interrupted
from harness.study.largest import list_largest
from harness.study.sections import Resources
from harness.tune.driver import Driver
from harness.tune.engine_actor import EngineSpec
from harness.tune.packing import settle_resources
from harness.tune.study_run import StudyRun
from harness.tune.trainable import StudyTrainable

REPORT_SECONDS = 1.0
"""A report to Tune costs milliseconds, so it holds the epochs of this time, unless a scheduler must see each epoch."""


@dataclass(frozen=True)
class Plan:
    """What a run of a study asks of Ray."""

    trainable: Any  # a class that Tune makes a trial's process of
    resources: Resources  # of one trial
    num_slots: int  # trials at once
    engines: EngineSpec | None  # what trains trials that share a device together; None: each trial trains by itself


def make_plan(run: StudyRun, mark: str) -> Plan:
    """Plan a run of a study on the cluster that Ray is connected to. mark: which whoever trains must see.

    Raises:
        InputError: the cluster has no room for a single trial, nor starts a machine that has.
        Interrupted: the run was asked to end while the cluster started its machines.
    """
    study = run.study
    asked = study.resources if study.resources.gpu != "auto" else study.resources.model_copy(update={"gpu": 1.0})
    say = partial(run.console.print, soft_wrap=True)
    make_room(asked, _count_places(run), say=say, is_stopping=lambda: run.is_stopping)
    if run.is_stopping:
        raise Interrupted(run.interrupted)
    resources = settle_resources(study, run.source.num_trials, run.dataset)
    num_slots = check_room(resources)
    stops_trials = study.scheduler.name not in ("fifo", "pbt")
    driver = Driver.here(study.loaded_plugins, mark)
    engines = None
    if resources.is_fused:
        engines = _specify_engines(run, resources, num_slots, driver, is_in_step=stops_trials)
    trainable = tune.with_parameters(
        StudyTrainable,
        dataset=run.dataset,
        measures=study.measures,
        place=run.place.for_trials(),
        study=study.name,
        metric=study.metric,
        report_seconds=0.0 if stops_trials else REPORT_SECONDS,
        engines=engines,
        driver=driver,
    )
    return Plan(trainable, resources, num_slots, engines)


def _count_places(run: StudyRun) -> int:
    """Count the trials that may ever run at once: of a search no more than it lets run, then all that confirm."""
    num_left = run.source.num_trials - len(run.source.trials) + len(run.list_open())
    at_once, confirm = run.study.search.at_once, run.study.confirm
    if at_once is None:
        return num_left
    return min(num_left, max(at_once, 2 * confirm.top * len(confirm.seeds) if confirm else 0))


def _specify_engines(
    run: StudyRun, resources: Resources, num_slots: int, driver: Driver, *, is_in_step: bool
) -> EngineSpec:
    return EngineSpec(
        namespace=f"spikeslab-{uuid.uuid4().hex}",
        dataset=[ray.put(run.dataset)],
        measures=run.study.measures,
        place=run.place.for_trials(),
        study=run.study.name,
        is_per_gpu=resources.gpu != 0,
        device="cuda" if resources.gpu else "cpu",
        capacity=resources.trials_per_gpu or num_slots,
        latent_dim=max(settings.latent_dim for settings in list_largest(run.study)),
        is_in_step=is_in_step,
        driver=driver,
    )
