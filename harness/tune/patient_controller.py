"""Tune's controller, but that no trial is given up because the process that it was handed dies before it has begun."""

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial


class PatientController(TuneController):  # type: ignore[misc]
    """Lets a trial run again that fails while it is handed the process of one that has ended.

    Tune tries again only what runs, and by its books such a trial does not: it would give it up at the first failure.
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
