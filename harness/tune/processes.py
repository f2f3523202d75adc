"""The processes of trials, as Tune knows them, one of which may fail in a way that Tune does not know."""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError


class Processes(RayActorManager):  # type: ignore[misc]
    """Takes a process as one that has died where Ray ended it for lack of memory, or has lost what it was to read.

    Tune would end the whole study.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        name = self._name(tracked_actor_task._tracked_actor)
        super()._actor_task_failed(tracked_actor_task, as_death(name, exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, as_death(self._name(tracked_actor), exception))

    def _name(self, tracked_actor: Any) -> str:
        process, _ = self._live_actors_to_ray_actors_resources.get(tracked_actor, (None, None))
        return str(process._actor_id.hex()) if process is not None else "unknown"


def as_death(name: str, failure: Exception) -> Exception:
    """What Ray says, and Tune does not know, as the death of the process, which begins with its name; else as it is."""
    is_known = not isinstance(failure, RayError) or isinstance(failure, RayActorError | RayTaskError)
    if is_known and not isinstance(failure, OutOfMemoryError):  # one may be a RayTaskError, too
        return failure
    death: Exception = RayActorError(error_msg=f"actor {name}: {failure}")
    return death
