"""Run the engine of harness.worker.engine as a Ray actor, one for each GPU, and train trials in it.

Only the actor's process imports torch; the trials' processes stay light.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.draining import is_draining
from harness.ledger.result import Epoch, Event
from harness.ledger.trial import Trial
from harness.metrics import Measures
from harness.plugins.use import use_plugins
from harness.storage.place import Place
from harness.tune.driver import Driver
from harness.worker.memory import MemoryShortageError
from harness.worker.slots import ReleasedError

IDLE_SECONDS = 60.0
"""An engine without trials ends itself after this long: the run that made it may be gone."""

LEASE_SECONDS = 3.0
"""How often an engine asks whether the driver lives: one whose driver was killed would go on, with all its memory."""

ASKED = 2
"""How often a trial asks its engine what it could not compile: stored epochs come first, then one that is trained."""

FLUSH_SECONDS = 60.0
"""How long a run that ends waits for an engine to finish an epoch and store its trials."""


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What all engines of one run of a study have in common."""

    namespace: str  # unique to this run
    dataset: list[Any]  # a list of one reference, which Ray would replace by the dataset itself outside a list
    measures: Measures
    place: Place
    study: str
    is_per_gpu: bool  # one engine for each GPU that Ray hands out; else one for each machine
    device: str
    capacity: int  # trials at once in each engine
    latent_dim: int  # the largest that a trial can have
    is_in_step: bool  # see Engine
    driver: Driver


def train_fused(spec: EngineSpec, trial: Trial, say: Callable[[str], None]) -> Generator[Event]:
    """Train a trial in the engine of the GPU that Ray gave this process, yielding the events that `run_trial` yields.

    One that runs out of memory is followed by one that trains half as many at once, and so on; `say` is told, as of
    what the engine could not compile for its card.

    Raises:
        MemoryShortageError: the engine lacked memory for this trial alone.
        ray.exceptions.RayError: the engine died. Its trials can be started again, and resume from their checkpoints.
    """
    capacity, num_seen = spec.capacity, 0
    while True:
        try:
            with closing(_train_in_one(replace(spec, capacity=capacity), trial, say)) as events:
                for event in events:
                    if isinstance(event, Epoch):
                        epoch = int(event.metrics["epoch"] or 0)
                        if epoch <= num_seen:  # an engine before has told it
                            continue
                        num_seen = epoch
                    yield event
        except ReleasedError:  # this process stood still, as its driver did, and was taken for dead
            continue
        except (MemoryShortageError, ray.exceptions.OutOfMemoryError) as error:
            at_once = error.num_trials if isinstance(error, MemoryShortageError) else capacity
            if at_once == 1:
                raise MemoryShortageError(1) from error
            capacity = at_once // 2
            say(
                f"{socket.gethostname()} has no memory for {at_once} trials at once; it goes on with {capacity}, "
                "each from its checkpoint."
            )
        else:
            return


def _train_in_one(spec: EngineSpec, trial: Trial, say: Callable[[str], None]) -> Generator[Event]:
    engine, slot = _submit(spec, trial)
    is_over, num_asked = False, 0
    try:
        while not is_over:
            events = ray.get(engine.fetch.remote(slot))
            if spec.device == "cuda" and num_asked < ASKED:
                num_asked += 1
                if (sentence := ray.get(engine.describe_slowness.remote())) is not None:
                    say(f"{socket.gethostname()}: {sentence}")
                    num_asked = ASKED
            for event in events:
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
    """Find the engine of this process's GPU, or of its machine if it has none; make the engine if there is none."""
    node = ray.get_runtime_context().get_node_id()
    gpu = str(ray.get_gpu_ids()[0]) if spec.is_per_gpu else None
    name = f"engine-{node}-{gpu or 'cpu'}"
    try:
        return ray.get_actor(name, spec.namespace)
    except ValueError:
        # Detached, with its own place in the cluster: otherwise it would end with the trial that happened to make it.
        return EngineActor.options(  # type: ignore[attr-defined]
            name=name,
            namespace=spec.namespace,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=2 * spec.capacity + 8,  # every trial waits in one call
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env={"env_vars": {"CUDA_VISIBLE_DEVICES": gpu}} if gpu else None,
        ).remote(spec)


def end_engines(spec: EngineSpec) -> None:
    """End all engines of a run, once they have stored their released trials; Tune does not know of them."""
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["namespace"] == spec.namespace:
            try:
                engine = ray.get_actor(actor["name"], spec.namespace)
                ray.get(engine.flush.remote(FLUSH_SECONDS), timeout=FLUSH_SECONDS + 1)
            except ValueError:  # it has just ended itself
                continue
            except ray.exceptions.RayError:  # it is dead or hangs
                pass
            ray.kill(engine)


def is_alive(job: str) -> bool:
    """Whether a driver lives, as far as the cluster's head knows. job: its id, as Ray has it."""
    try:
        return not any(known["JobID"] == job and known["IsDead"] for known in ray._private.state.jobs())
    except Exception:  # the head does not answer now; if it is gone for good, so is this machine's Ray soon
        return True


@ray.remote
class EngineActor:
    """Trains in its own thread; trials' processes call the methods, which may wait."""

    def __init__(self, spec: EngineSpec) -> None:
        from harness.worker.engine import Engine

        spec.driver.join()
        use_plugins(spec.driver.plugins)
        self._engine = Engine(
            ray.get(spec.dataset[0]),
            spec.measures,
            spec.place.folder / spec.study,
            place=spec.place,
            device=spec.device,
            capacity=spec.capacity,
            latent_dim=spec.latent_dim,
            is_in_step=spec.is_in_step,
        )
        if threading.current_thread() is threading.main_thread():
            # A machine that is taken away is told so; a handler must not wait for a lock that it interrupts.
            signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=self._leave).start())
        threading.Thread(target=self._work, daemon=True).start()
        threading.Thread(target=self._watch, args=(ray.get_runtime_context().get_job_id(),), daemon=True).start()

    def _work(self) -> None:
        try:
            self._engine.run(idle_seconds=IDLE_SECONDS)
        finally:
            # The trials have been notified by now, and only a new process is sure to find the device in order.
            threading.Timer(1.0, os._exit, [0]).start()

    def _watch(self, job: str) -> None:
        """End once the driver has, or the machine is to go, after what its trials have trained is stored."""
        while is_alive(job) and not is_draining():
            time.sleep(LEASE_SECONDS)
        self._leave()

    def _leave(self) -> None:
        """Store what the trials have trained, and end the process."""
        self._engine.slots.release_all()
        self._engine.slots.flush(FLUSH_SECONDS)
        os._exit(0)

    def submit(self, trial: Trial) -> int:
        """See Slots.submit."""
        return self._engine.slots.submit(trial)

    def fetch(self, slot: int) -> list[Event]:
        """See Slots.fetch."""
        return self._engine.slots.fetch(slot)

    def describe_slowness(self) -> str | None:
        """See cuda_graph.describe_failure."""
        from models.training.stacked.cuda_graph import describe_failure

        return describe_failure()

    def leave(self, slot: int) -> None:
        """See Slots.leave."""
        self._engine.slots.leave(slot)

    def flush(self, timeout: float) -> None:
        """See Slots.flush."""
        self._engine.slots.flush(timeout)
