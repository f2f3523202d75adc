"""The processes of trials, as Tune knows them, one of which may be ended as its machine runs out of memory."""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class Processes(RayActorManager):  # type: ignore[misc]
    """Takes a process that Ray ended for lack of memory as one that has died. Tune would end the whole study."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        super()._actor_task_failed(tracked_actor_task, self._as_death(tracked_actor_task._tracked_actor, exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, self._as_death(tracked_actor, exception))

    def _as_death(self, tracked_actor: Any, exception: Exception) -> Exception:
        """A death, which begins with the name that Ray has for the process; any other failure as it is."""
        if not isinstance(exception, OutOfMemoryError):
            return exception
        process, _ = self._live_actors_to_ray_actors_resources.get(tracked_actor, (None, None))
        name = process._actor_id.hex() if process is not None else "unknown"
        death: Exception = RayActorError(error_msg=f"actor {name}: {exception}")
        return death
