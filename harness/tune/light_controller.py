"""Tune's controller without its memory: what has ended is in our ledger, and Tune need not keep it or store it."""

from pathlib import Path

from ray.tune.execution.tune_controller import TuneController

from harness.tune.patient_controller import PatientController

NO_TRIALS = '{"trial_data": []}'

ATTRIBUTES = ("_trials", "_stopped_trials", "_failed_trials", "_live_trials", "_trials_to_cache", "_resetting_trials")
"""Of Tune's own controller, which makes them as it begins; private, so that another version of Ray may lack one."""


class LightController(PatientController):
    """Lets go of trials that have ended, and stores no snapshots of the experiment.

    Tune itself keeps some 60 KB of each trial for good, a third of it as JSON for its snapshots, and looks through
    all trials that there ever were at each step.
    """

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
