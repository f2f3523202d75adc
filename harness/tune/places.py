"""Which trial gets the process of one that has ended, so that places that fall free or join are used."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class FillsPlaces(FIFOScheduler):  # type: ignore[misc]
    """Hands the process of a trial that ended to the first that has no place yet, not to one that is about to start.

    A pending trial waits for a process of its own. Once the cluster has a place for it, that process takes seconds to
    start. Tune would hand the process of any trial that ends meanwhile to the trial that waits longest, which is that
    one, and end its own: the place would stay idle as long as trials end in less time than a process needs to start.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._unfinished: dict[Any, None] = {}  # Tune's trials, oldest first

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Note a trial that is new, or that runs again after its process has died."""
        self._unfinished[trial] = None
        super().on_trial_add(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Choose among pending trials alone: none of ours is ever paused in Tune. Looks at no trial that has ended."""
        for trial in [trial for trial in self._unfinished if trial.is_finished()]:
            del self._unfinished[trial]
        pending = [trial for trial in self._unfinished if trial.status == Trial.PENDING]
        controller = getattr(tune_controller, "_tune_controller", tune_controller)
        for trial in pending:
            process = controller._trial_to_actor.get(trial)
            if process is None or not controller._actor_manager.is_actor_started(process):  # which is: has a place
                return trial
        return pending[-1] if pending else None
