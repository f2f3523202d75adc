"""Which trial runs next: slots that fall free or join are used, and a trial that needs all memory runs alone."""

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from harness.tune.failures import Judge


class FillsSlots(FIFOScheduler):  # type: ignore[misc]
    """Hands the process of a trial that ended to the first that has no slot yet, not to one that is about to start.

    A pending trial waits for a process of its own. Once the cluster has a slot for it, that process takes seconds to
    start. Tune would hand the process of any trial that ends meanwhile to the trial that waits longest, which is that
    one, and end its own: the slot would stay idle as long as trials end in less time than a process needs to start.

    Trials that wait until nothing else runs are paused in Tune; no other ones are.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._unfinished: dict[Any, None] = {}  # Tune's trials, oldest first
        self._alone: Any = None  # the one that runs while nothing else does
        self.judge: Judge | None = None  # of trials whose process has failed; None: all run again beside others
        self.on_wait: Callable[[], None] = lambda: None  # called once a trial waits until nothing else runs

    @property
    def is_full(self) -> bool:
        """Whether nothing may run beside what runs."""
        return self._alone is not None and not self._alone.is_finished()

    @property
    def num_waiting(self) -> int:
        """How many trials wait until nothing else runs."""
        return sum(trial.status == Trial.PAUSED for trial in self._unfinished)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Note a trial that is new, or that runs again after its process has died."""
        is_new = trial not in self._unfinished
        self._unfinished[trial] = None
        super().on_trial_add(tune_controller, trial)
        if self.judge is None or is_new:
            return
        num_others = sum(other.status == Trial.RUNNING for other in self._unfinished)
        match self.judge.judge(trial, is_alone=trial is self._alone, num_others=num_others):
            case "wait":
                tune_controller._set_trial_status(trial, Trial.PAUSED)
                self.on_wait()
            case "give up":
                tune_controller.stop_trial(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Choose among pending trials, and, once nothing else runs, those that wait. Looks at none that has ended."""
        for trial in [trial for trial in self._unfinished if trial.is_finished()]:
            del self._unfinished[trial]
        pending = [trial for trial in self._unfinished if trial.status == Trial.PENDING]
        if self._unfinished and self.num_waiting == len(self._unfinished):
            self._alone = next(iter(self._unfinished))
            return self._alone
        controller = getattr(tune_controller, "_tune_controller", tune_controller)
        try:
            processes, has_slot = controller._trial_to_actor, controller._actor_manager.is_actor_started
        except AttributeError:  # of another version of Ray
            return pending[0] if pending else None
        for trial in pending:
            process = processes.get(trial)
            if process is None or not has_slot(process):
                return trial
        return pending[-1] if pending else None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores it before it begins, and we never read that
