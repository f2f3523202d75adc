"""One run of Ray Tune over what is open of a study. Imports Ray, so import it after `quieten_ray`."""

import os
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from harness.cluster.connect import connect, count_slots, redirect_log
from harness.ledger.trial import Trial
from harness.study.sections import ADAPTIVE_SAMPLERS, Resources
from harness.tune.callbacks import StopOnRequest, TrialSearch, Watcher
from harness.tune.engine_actor import EngineSpec, end_engines
from harness.tune.packing import settle_resources
from harness.tune.schedulers import make_scheduler
from harness.tune.study_run import StudyRun
from harness.tune.trainable import StudyTrainable

MAX_CRASHES = 3
"""So often a trial's process may die (killed, out of memory, its machine lost) before the trial counts as failed."""

REPORT_SECONDS = 1.0
"""So much time's epochs come in one report where no scheduler has to see each: Tune takes milliseconds for a report."""


def run_tune(run: StudyRun, first: Trial, address: str | None) -> None:
    """Run the trials of a study, the first of which its source has given already.

    Raises:
        InputError: no cluster answers at the address, or it has no room for a single trial.
    """
    is_ours, engines = not ray.is_initialized(), None
    log = redirect_log(run.folder / "ray.log")
    try:
        if is_ours:
            connect(address)
        study = run.study
        resources = settle_resources(study, run.source.num_trials, run.dataset)
        num_slots = count_slots(resources)
        is_fifo = study.scheduler.name in ("fifo", "pbt")  # no trial of which is stopped
        engines = _specify_engines(run, resources, num_slots) if resources.is_fused else None
        # With fewer trials waiting, each trial that ends would hand its process to the one that waits for a process
        # of its own to start, and all would run one after the other.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(num_slots)
        trainable = tune.with_parameters(
            StudyTrainable,
            dataset=run.dataset,
            measures=study.measures,
            study_folder=run.folder,
            metric=study.metric,
            report_seconds=REPORT_SECONDS if is_fifo else 0.0,
            engines=engines,
        )
        # Tune keeps its own bookkeeping in files that we do not need: what counts is in the trials' folders.
        with tempfile.TemporaryDirectory(prefix="spikeslab-tune-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(trainable, {"cpu": resources.num_cpus, "gpu": resources.gpu}),
                tune_config=tune.TuneConfig(
                    search_alg=TrialSearch(run, first),
                    scheduler=make_scheduler(study, run.source.trials, run.results),
                    num_samples=-1,  # until the source has no more
                    # An adaptive sampler is asked only when its answer can be used at once.
                    max_concurrent_trials=num_slots if study.search.sampler in ADAPTIVE_SAMPLERS else None,
                    reuse_actors=True,
                    trial_name_creator=_name_trial,
                    trial_dirname_creator=_name_trial,
                ),
                run_config=tune.RunConfig(
                    name=study.name,
                    storage_path=scratch,
                    callbacks=[Watcher(run)],
                    stop=StopOnRequest(run),
                    # Tune would ask a trial for a checkpoint of Tune's own when it ends.
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=MAX_CRASHES),
                    verbose=0,
                ),
            )
            with _on_ctrl_c(run.request_stop):
                tuner.fit()
    except KeyboardInterrupt:  # while Ray was starting, or the second one
        run.request_stop()
    finally:
        # Not in a thread, while the figures are drawn: Ray ends the process if a reference is dropped meanwhile.
        if engines is not None and ray.is_initialized():
            end_engines(engines)
        if is_ours:
            ray.shutdown()
        log.close()


def _specify_engines(run: StudyRun, resources: Resources, num_slots: int) -> EngineSpec:
    """What trains the trials that share a device."""
    share = 0.0 if resources.gpu == "auto" else resources.gpu  # of a GPU; settled by now
    return EngineSpec(
        namespace=f"spikeslab-{uuid.uuid4().hex}",
        dataset=[ray.put(run.dataset)],
        measures=run.study.measures,
        study_folder=run.folder,
        device="cuda" if share else "cpu",
        capacity=int(1 / share + 1e-6) if share else num_slots,
        latent_dim=run.study.largest_settings.latent_dim,
        is_in_step=run.study.scheduler.name not in ("fifo", "pbt"),
    )


@contextmanager
def _on_ctrl_c(request_stop: Callable[[], None]) -> Iterator[None]:
    """Inside, a first Ctrl-C is a request, and a second one interrupts."""
    before = signal.getsignal(signal.SIGINT)

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        request_stop()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _name_trial(trial: Any) -> str:
    return str(trial.config["trial_id"])
