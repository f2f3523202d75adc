"""Room for a study's trials: counted machine by machine, and asked of the cluster's autoscaler where it lacks."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import ray

from analysis.wording import plural
from harness.cluster.connect import is_local
from harness.errors import InputError
from harness.progress import format_duration
from harness.study.sections import Resources

MAX_ASKED = 256  # places; the autoscaler has its own limit, max_workers
SETTLED_SECONDS = 15.0  # without a machine being started, after which none is expected: autoscalers look every 5 s
PATIENCE_SECONDS = 60.0  # as above, while there is no room at all
NOTICE_SECONDS = 8.0  # in which an autoscaler that has just begun says that it is there
FIRST_SECONDS = 120.0  # for more machines, once there is room for a trial
TELL_SECONDS = 30.0
POLL_SECONDS = 1.0


def make_room(
    resources: Resources,
    num_trials: int,
    *,
    say: Callable[[str], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Where the cluster has room for fewer trials at once, let its autoscaler start machines, and wait for these.

    say: is told what is waited for, and how long. is_stopping: ends the wait.
    """
    wanted, slots = min(num_trials, MAX_ASKED), count_slots(resources)
    if slots < wanted and _has_autoscaler(is_needed=slots < 1):
        with _asking(resources, wanted - slots):
            _wait(resources, wanted, say, is_stopping)


def check_room(resources: Resources) -> int:
    """Count the trials that the cluster can run at once.

    Raises:
        InputError: none of its machines has room for a single trial.
    """
    slots = count_slots(resources)
    if slots < 1:
        raise InputError(_describe_lack(resources))
    return slots


def count_slots(resources: Resources) -> int:
    """Count the trials that the machines of the cluster can run at once; a trial takes all of its place on one."""
    return sum(resources.count_on_machine(node["Resources"]) for node in ray.nodes() if node["Alive"])


def describe_wait(resources: Resources) -> str | None:
    """Say what a trial would wait for now because others use it; None if there is enough for one."""
    total, free = ray.cluster_resources(), ray.available_resources()
    for kind, wanted in (("CPU", resources.num_cpus), ("GPU", float(resources.gpu))):
        if free.get(kind, 0) < wanted - 1e-6:
            used = total.get(kind, 0) - free.get(kind, 0)
            return f"waiting for {wanted:g} {kind}, as others use {used:g} of {total.get(kind, 0):g}"
    return None


@contextmanager
def _asking(resources: Resources, count: int) -> Iterator[None]:
    """Let the autoscaler see the places that are lacking, meanwhile; they are given back even where we are killed.

    Trials that wait for a place are seen just so: Tune makes a group like these for each.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    bundle = {"CPU": resources.num_cpus} | ({"GPU": resources.gpu} if resources.gpu else {})
    groups = [placement_group([bundle]) for _ in range(count)]
    try:
        yield
    finally:
        for group in groups:
            remove_placement_group(group)


def _wait(resources: Resources, wanted: int, say: Callable[[str], None], is_stopping: Callable[[], bool]) -> None:
    """Wait until the machines that the autoscaler starts have joined, no more of them start, or it takes too long."""
    began = last_growth = time.monotonic()
    told, slots = began, count_slots(resources)
    say(f"The cluster has room for {slots} of {plural(wanted, 'trial')}; waiting for the machines that it starts ...")
    while slots < wanted and not is_stopping():
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        num_starting = count_starting() or 0
        before, slots = slots, count_slots(resources)
        if num_starting or slots > before:
            last_growth = now
        if now - last_growth > (SETTLED_SECONDS if slots else PATIENCE_SECONDS) or (
            slots and now - began > FIRST_SECONDS
        ):
            break
        if now - told > TELL_SECONDS:
            told = now
            say(f"Waiting for {format_duration(now - began)}: {plural(num_starting, 'machine')} starting ...")
    if slots:
        say(f"The cluster has room for {plural(slots, 'trial')} after {format_duration(time.monotonic() - began)}.")


def _has_autoscaler(*, is_needed: bool) -> bool:
    """Whether the cluster starts machines by itself. is_needed: give one that has just begun time to say so."""
    deadline = time.monotonic() + (NOTICE_SECONDS if is_needed and not is_local(None) else 0)
    while (num_starting := count_starting()) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return num_starting is not None


def count_starting() -> int | None:
    """Count the machines that the cluster's autoscaler is starting; None: it has none, or none that says so."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray._private.worker import global_worker
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply
    from ray.experimental.internal_kv import _internal_kv_get

    if ray.util.client.ray.is_connected():  # which says nothing of it
        return None
    state = GetClusterStatusReply.FromString(global_worker.gcs_client.get_cluster_status()).autoscaling_state
    if state.autoscaler_state_version:
        return int(sum(request.count for request in state.pending_instance_requests) + len(state.pending_instances))
    report = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}").get("autoscaler_report") or {}
    types = report.get("node_type_mapping") or {}
    if all(kind.startswith("node_") for kind in types.values()):  # what Ray calls machines that were started by hand
        return None
    return int(sum(report["pending_launches"].values())) + len(report["pending_nodes"])


def _describe_lack(resources: Resources) -> str:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    best: Mapping[str, float] = max(machines, key=lambda has: (has.get("GPU", 0), has.get("CPU", 0)), default={})
    has = f"{best.get('CPU', 0):g} CPU and {best.get('GPU', 0):g} GPU"
    where = "this machine has" if len(machines) < 2 else "the largest machine of the cluster has"
    started = "" if count_starting() is None else ", and it starts none that has more, or has reached its max_workers"
    return (
        f"resources: a trial asks for {resources.num_cpus:g} CPU and {resources.gpu:g} GPU, but {where} {has}"
        f"{started}; ask for less with --set resources.gpu=0 or resources.cpu=1"
    )
