"""Run Ray Tune over the open trials of a study. Imports Ray, so import it after calling `quieten_ray`."""

import os
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter

from harness.cluster.connect import connect, disconnect, is_job, is_local, redirect_log
from harness.cluster.nodes import Node, ask_nodes, check_nodes, marked
from harness.cluster.room import count_slots
from harness.cluster.shipping import pack_code
from harness.interruption import Interrupted
from harness.ledger.names import RAY_LOG
from harness.ledger.provenance import record_nodes
from harness.ledger.trial import Trial
from harness.study.sections import ADAPTIVE_SAMPLERS
from harness.tune.callbacks import StopOnRequest, TrialSearch, Watcher
from harness.tune.engine_actor import end_engines
from harness.tune.failures import Judge
from harness.tune.head_guard import HeadGuard
from harness.tune.node_guard import NodeGuard
from harness.tune.own_parts import own_parts
from harness.tune.plan import Plan, make_plan
from harness.tune.schedulers import make_scheduler
from harness.tune.study_run import StudyRun


def run_tune(run: StudyRun, first: Trial, address: str | None, on_lost: Callable[[], None]) -> None:
    """Run the open trials of a study. first: the first of them, already taken from the study's source.

    on_lost: called in another thread where the head of the cluster is gone; it ends the process.

    Raises:
        InputError: no cluster answers at the address, a machine of it cannot train the study, or it has no room for a
            single trial.
    """
    is_ours, plan = not ray.is_initialized(), None
    log = redirect_log(run.folder / RAY_LOG)
    try:
        with marked(run.folder, run.place) as mark:
            nodes = _connect(run, mark, address) if is_ours else check_nodes(ask_nodes(mark, run.dataset.kept))
            record_nodes(run.folder, [node.machine for node in nodes])
            run.tracker.look_at_old_store()
            with HeadGuard(run, on_lost):
                if not run.is_stopping:
                    plan = make_plan(run, mark)
                    with NodeGuard(run, mark, nodes, plan.resources) as guard:
                        _fit(run, first, plan, guard)
    except SystemExit as ended:  # by a second signal, or by Ray's own handler while it starts
        run.request_stop(ended.signum if isinstance(ended, Interrupted) else signal.SIGTERM)
    finally:
        # Not in a thread beside the drawing of figures: Ray ends the process if a reference is dropped meanwhile.
        if plan is not None and plan.engines is not None and ray.is_initialized():
            end_engines(plan.engines)
        if is_ours:
            disconnect()
        log.close()


def _connect(run: StudyRun, mark: str, address: str | None) -> list[Node]:
    """Connect to Ray; returns the machines, which all can train. Where some lack our code, it is shipped to all.

    Raises:
        InputError: no cluster answers, or one of its machines cannot train the study.
    """
    connect(address)
    if is_local(address) or is_job():
        return check_nodes(ask_nodes(mark, run.dataset.kept))
    nodes = ask_nodes(mark, run.dataset.kept)
    if all(node.has_our_code for node in nodes):
        return check_nodes(nodes)
    ray.shutdown()
    with tempfile.TemporaryDirectory(prefix="spikeslab-code-") as code:
        pack_code(Path(code))
        connect(address, code=Path(code))
    return check_nodes(ask_nodes(mark, run.dataset.kept))


def _fit(run: StudyRun, first: Trial, plan: Plan, guard: NodeGuard) -> None:
    study, scheduler = run.study, make_scheduler(run.study, run.source.trials, run.collect_results())
    scheduler.judge = Judge(run, guard.doubt)
    search = TrialSearch(run, first, lambda: scheduler.is_full)
    if study.search.sampler in ADAPTIVE_SAMPLERS:
        # It should propose as late as possible, with all results that there are.
        search = limiter = ConcurrencyLimiter(search, max_concurrent=plan.num_slots)
        guard.on_join = scheduler.on_wait = lambda: limiter.set_max_concurrency(
            count_slots(plan.resources) + scheduler.num_waiting  # it counts these, too
        )
    # More than can ever be starting at once, where machines join: see FillsSlots, which needs one that is not.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * plan.num_slots + 8)
    # Tune's own files are not needed: the trials' folders hold everything.
    with tempfile.TemporaryDirectory(prefix="spikeslab-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(plan.trainable, {"cpu": plan.resources.num_cpus, "gpu": plan.resources.gpu}),
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=scheduler,
                num_samples=-1,  # until the source has no more trials
                reuse_actors=True,
                trial_name_creator=_name_trial,
                trial_dirname_creator=_name_trial,
            ),
            run_config=tune.RunConfig(
                name=study.name,
                storage_path=scratch,
                callbacks=[Watcher(run, plan.resources)],
                stop=StopOnRequest(run),
                # Trials store their own checkpoints.
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=-1),  # see Judge
                progress_reporter=tune.CLIReporter(),  # silent; that of notebooks clears what the cell has printed
                verbose=0,
            ),
        )
        with own_parts(partial(run.console.print, soft_wrap=True)):
            tuner.fit()


def _name_trial(trial: Any) -> str:
    return str(trial.config["trial_id"])
