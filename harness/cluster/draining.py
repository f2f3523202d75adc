"""Machines that are about to go away: Ray gives them no more to do, and what they do is to be stored."""

import threading
import time
from collections.abc import Callable

import ray

LOOK_SECONDS = 2.0


def list_draining() -> set[str]:
    """The ids of the machines that are about to go away, as far as the cluster's head knows and answers now.

    It is told by `ray drain-node`, by an autoscaler, or by the `ray start --block` of the machine, which got TERM.
    """
    try:
        return set(ray._private.state.state.get_draining_nodes())
    except Exception:  # what it means that the head does not answer is said elsewhere
        return set()


def is_draining() -> bool:
    """Whether the machine of this process is about to go away."""
    return ray.get_runtime_context().get_node_id() in list_draining()


def watch_draining(on_draining: Callable[[], None]) -> None:
    """Look, in a thread, whether the machine of this process is about to go away, and call something once it is."""

    def work() -> None:
        while not is_draining():
            time.sleep(LOOK_SECONDS)
        on_draining()

    threading.Thread(target=work, name="draining", daemon=True).start()
