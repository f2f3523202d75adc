"""The processes of trials, as Tune knows them, one of which may be ended as its machine runs out of memory."""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class Processes(RayActorManager):  # type: ignore[misc]
    """Takes a process that Ray ended for lack of memory as one that has died. Tune would end the whole study."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        name = self._name(tracked_actor_task._tracked_actor)
        super()._actor_task_failed(tracked_actor_task, as_death(name, exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, as_death(self._name(tracked_actor), exception))

    def _name(self, tracked_actor: Any) -> str:
        process, _ = self._live_actors_to_ray_actors_resources.get(tracked_actor, (None, None))
        return str(process._actor_id.hex()) if process is not None else "unknown"


def as_death(name: str, failure: Exception) -> Exception:
    """The end of a process for lack of memory as its death, which begins with its name; any other failure as it is."""
    if not isinstance(failure, OutOfMemoryError):
        return failure
    death: Exception = RayActorError(error_msg=f"actor {name}: {failure}")
    return death
