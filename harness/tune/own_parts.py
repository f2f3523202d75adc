"""Parts of Tune that are replaced by ours while a study runs, as Tune has no option for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune.execution.tune_controller
import ray.tune.tune


@contextmanager
def own_parts(say: Callable[[str], None]) -> Iterator[None]:
    """Let Tune run with `LightController` and `Processes`; with its own, where this version of Ray has changed.

    say: is told so.
    """
    before: list[tuple[Any, str, Any]] = []
    try:
        for module, name, ours in _find_parts(say):
            before.append((module, name, getattr(module, name)))
            setattr(module, name, ours)
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def _find_parts(say: Callable[[str], None]) -> list[tuple[Any, str, Any]]:
    """List what is to be replaced: a module, a name in it, and ours."""
    try:
        from harness.tune.light_controller import LightController, is_known
        from harness.tune.processes import Processes

        parts = [
            (ray.tune.tune, "TuneController", LightController),
            (ray.tune.execution.tune_controller, "RayActorManager", Processes),
        ]
        if is_known() and all(hasattr(module, name) for module, name, _ in parts):
            return parts
    except ImportError:
        pass
    say(
        f"Ray {ray.__version__} is not as spikeslab knows it: thousands of trials take more time and memory, and one "
        "that runs out of memory may end the study; Ray 2.60 is known."
    )
    return []
