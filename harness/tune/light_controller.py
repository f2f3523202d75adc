"""Tune's controller without its memory, as our ledger has what has ended, and patient with processes that die."""

from pathlib import Path

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

NO_TRIALS = '{"trial_data": []}'

ATTRIBUTES = ("_trials", "_stopped_trials", "_failed_trials", "_live_trials", "_trials_to_cache", "_resetting_trials")
"""Of Tune's own controller, which makes them as it begins; private, so that another version of Ray may lack one."""


class LightController(TuneController):  # type: ignore[misc]
    """Lets go of trials that have ended, stores no snapshots, and lets one run again whose process died under it.

    Tune itself keeps some 60 KB of each trial for good, a third of it as JSON for its snapshots, and looks through
    all trials that there ever were at each step. It tries again only what runs, and by its books a trial that is being
    handed the process of one that has ended does not: it would give it up at the first failure.
    """

    def _trial_task_failure(self, trial: Trial, exception: Exception) -> None:
        """Queue it again. Of a process that died, Tune tells twice; the first time the trial counts as running."""
        was_handed_over = trial in self._resetting_trials
        self._resetting_trials.discard(trial)  # else it would wait for that process for ever
        if not was_handed_over and trial.status != Trial.RUNNING:
            return  # it was told before
        if trial.status == Trial.PENDING:
            self._set_trial_status(trial, Trial.RUNNING)
            self._unstage_trial_with_resources(trial)
        super()._trial_task_failure(trial, exception)

    def on_step_end(self) -> None:
        """Let go of the trials that have ended."""
        super().on_step_end()
        ended = self._stopped_trials | self._failed_trials
        if ended:
            # In place, as callbacks and schedulers hold these lists.
            self._trials[:] = [trial for trial in self._trials if trial not in ended]
            for trials in (self._stopped_trials, self._failed_trials, self._live_trials, self._trials_to_cache):
                trials.difference_update(ended)

    def checkpoint(self, force: bool = False, wait: bool = False) -> None:  # noqa: ARG002 (as Tune calls it)
        """Store nothing; Tune looks for the file of a snapshot at the end."""
        if force:
            folder = Path(self.experiment_path)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / self.experiment_state_file_name).write_text(NO_TRIALS, encoding="utf-8")


def is_known() -> bool:
    """Whether this version of Ray has the controller that ours is made from."""
    made = TuneController.__init__.__code__.co_names
    return {*ATTRIBUTES} <= {*made} and hasattr(TuneController, "experiment_state_file_name")
