"""Parts of Tune that are replaced by ours while a study runs, as Tune has no option for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune.execution.class_cache
import ray.tune.execution.tune_controller
import ray.tune.tune

Part = tuple[Any, str, Any]
"""What is replaced: a module, a name in it, and what stands there meanwhile."""

HEAVIER = "thousands of trials take more time and memory, and one that runs out of memory may end the study"
TALKATIVE = "a bucket's keys in AWS_* stand on the command lines of trials' processes, for all on a machine to read"


@contextmanager
def own_parts(say: Callable[[str], None]) -> Iterator[None]:
    """Let Tune run with `LightController` and `Processes`, and hand no keys of buckets on.

    Where this version of Ray has changed, Tune runs with its own. say: is told so, and what follows from it.
    """
    parts: list[Part] = []
    lacks: list[str] = []
    for find, otherwise in ((_find_lighter, HEAVIER), (_find_silent, TALKATIVE)):
        try:
            parts += find()
        except (ImportError, AttributeError, TypeError):
            lacks.append(otherwise)
    if lacks:
        say(f"Ray {ray.__version__} is not as spikeslab knows it: {'; '.join(lacks)}; Ray 2.60 is known.")
    before = [(module, name, getattr(module, name)) for module, name, _ in parts]
    try:
        for module, name, ours in parts:
            setattr(module, name, ours)
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def _find_lighter() -> list[Part]:
    from harness.tune.light_controller import LightController, is_known
    from harness.tune.processes import Processes

    parts = [
        (ray.tune.tune, "TuneController", LightController),
        (ray.tune.execution.tune_controller, "RayActorManager", Processes),
    ]
    if not is_known() or not all(hasattr(module, name) for module, name, _ in parts):
        raise AttributeError
    return parts


def _find_silent() -> list[Part]:
    """Tune would put the keys on the command lines of trials' processes; each machine has credentials of its own."""
    module, name = ray.tune.execution.class_cache, "ENV_VARS_TO_PROPAGATE"
    return [(module, name, {one for one in getattr(module, name) if not one.startswith("AWS_")})]
