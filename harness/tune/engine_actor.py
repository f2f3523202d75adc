"""The engine of harness.worker.engine as a Ray actor, one on each GPU, and a trial's way to it.

Only the actor's process imports torch; those of the trials stay light.
"""

import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.ledger.result import Epoch, Event
from harness.ledger.trial import Trial
from harness.metrics import Measures

IDLE_SECONDS = 60.0
"""An engine that no trial has asked for so long ends itself: whoever made it may be gone."""

FLUSH_SECONDS = 60.0
"""So long at most a run that ends waits for an engine that is in the middle of an epoch."""


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What the engines of a run of a study have in common."""

    namespace: str  # of this run alone
    dataset: list[Any]  # one reference to the dataset, in a list so that Ray leaves it one
    measures: Measures
    study_folder: Path
    device: str
    capacity: int  # trials at once on each
    latent_dim: int  # the most that a trial can have
    is_in_step: bool  # with a scheduler that stops trials


def train_fused(spec: EngineSpec, trial: Trial) -> Generator[Event]:
    """Train a trial in the engine of the GPU that Ray gave this process, yielding the events that `run_trial` yields.

    Raises:
        ray.exceptions.RayError: the engine died. Its trials can be started again, and go on from their checkpoints.
    """
    engine, slot = _submit(spec, trial)
    is_over = False
    try:
        while not is_over:
            for event in ray.get(engine.fetch.remote(slot)):
                is_over = not isinstance(event, Epoch)
                yield event
    finally:
        if not is_over:  # stopped by the scheduler, or by an error
            engine.leave.remote(slot)


def _submit(spec: EngineSpec, trial: Trial) -> tuple[Any, int]:
    """Hand a trial to the engine, or to the next one if this one is about to end; returns it and the trial's slot."""
    for patience in (2.0, 4.0, 0.0):
        try:
            engine = _find_engine(spec)
            return engine, ray.get(engine.submit.remote(trial))
        except ray.exceptions.RayError:
            if not patience:
                raise
            time.sleep(patience)
    raise AssertionError


def _find_engine(spec: EngineSpec) -> Any:
    """The engine of this process's GPU, or of its machine; made if there is none."""
    node = ray.get_runtime_context().get_node_id()
    gpu = str(ray.get_gpu_ids()[0]) if spec.device == "cuda" else None
    name = f"engine-{node}-{gpu or 'cpu'}"
    try:
        return ray.get_actor(name, spec.namespace)
    except ValueError:
        # Detached, and placed by itself: else it would end with the trial that happened to make it.
        return EngineActor.options(  # type: ignore[attr-defined]
            name=name,
            namespace=spec.namespace,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=2 * spec.capacity + 8,  # every trial waits in a call of its own
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env={"env_vars": {"CUDA_VISIBLE_DEVICES": gpu}} if gpu else None,
        ).remote(spec)


def end_engines(spec: EngineSpec) -> None:
    """End every engine of a run, once it has stored what was stopped: Tune, which did not make it, would leave it."""
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["namespace"] == spec.namespace:
            try:
                engine = ray.get_actor(actor["name"], spec.namespace)
                ray.get(engine.flush.remote(FLUSH_SECONDS), timeout=FLUSH_SECONDS + 1)
            except ValueError:  # it has just ended by itself
                continue
            except ray.exceptions.RayError:  # it is dead, or hangs
                pass
            ray.kill(engine)


@ray.remote
class EngineActor:
    """Trains in a thread of its own; each method is called from a trial's process and may wait."""

    def __init__(self, spec: EngineSpec) -> None:
        from harness.worker.engine import Engine

        self._engine = Engine(
            ray.get(spec.dataset[0]),
            spec.measures,
            spec.study_folder,
            device=spec.device,
            capacity=spec.capacity,
            latent_dim=spec.latent_dim,
            is_in_step=spec.is_in_step,
        )
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            self._engine.run(idle_seconds=IDLE_SECONDS)
        finally:
            # The trials are told by now, and only a new process can be sure to find the device in order.
            threading.Timer(1.0, os._exit, [0]).start()

    def submit(self, trial: Trial) -> int:
        """See Slots.submit."""
        return self._engine.slots.submit(trial)

    def fetch(self, slot: int) -> list[Event]:
        """See Slots.fetch."""
        return self._engine.slots.fetch(slot)

    def leave(self, slot: int) -> None:
        """See Slots.leave."""
        self._engine.slots.leave(slot)

    def flush(self, timeout: float) -> None:
        """See Slots.flush."""
        self._engine.slots.flush(timeout)
