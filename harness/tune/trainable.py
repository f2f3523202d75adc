"""One trial as a Ray Tune trainable: a thin shell around `run_trial`."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ray import tune

from harness.datasets import Dataset
from harness.ledger.folder import TrialFolder
from harness.ledger.result import Epoch, Event
from harness.metrics import Measures
from harness.tune.engine_actor import EngineSpec, train_fused


class StudyTrainable(tune.Trainable):  # type: ignore[misc]
    """Steps an epoch or a few at a time. Its process is used for one trial after another, which saves its start-up.

    Tune's own checkpoints are not used: a trial finds its newest state by its trial_id, also when Tune knows nothing
    of the run before.
    """

    def setup(
        self,
        config: dict[str, Any],
        *,
        dataset: Dataset,
        measures: Measures,
        study_folder: Path,
        metric: str,
        report_seconds: float,
        engines: EngineSpec | None,
    ) -> None:
        """dataset: in memory that all trials of the machine share, read-only.

        report_seconds: so much time's epochs make one report; 0 reports each epoch by itself. engines: train the trials
        together with those that share the device; None: each by itself, in this process.
        """
        self._dataset, self._measures, self._study_folder = dataset, measures, study_folder
        self._metric, self._report_seconds, self._engines = metric, report_seconds, engines
        self._events = self._start(config)

    def _start(self, config: dict[str, Any]) -> Generator[Event]:
        self._is_searching = config["trial"].phase == "search"
        self._num_judged = TrialFolder(self._study_folder, config["trial"]).count_own_epochs()
        if self._engines is not None:
            return train_fused(self._engines, config["trial"])
        # Here and not above: the driver, which imports this file too, then does without torch.
        from harness.worker.trial_run import run_trial

        device = "cuda" if config["gpu"] else "cpu"
        return run_trial(config["trial"], self._measures, self._dataset, self._study_folder, device=device)

    def step(self) -> dict[str, Any]:
        """The next epochs, as `events`; `epoch` and `objective` are what a scheduler looks at.

        `is_judged`: an earlier run of the study has trained this far, and let the trial go on.
        """
        deadline = time.monotonic() + self._report_seconds
        events = [next(self._events)]
        while isinstance(events[-1], Epoch) and time.monotonic() < deadline:
            events.append(next(self._events))
        metrics, is_done = events[-1].metrics, not isinstance(events[-1], Epoch)
        epoch = metrics.get("epoch") or 0
        report = {"events": events, "epoch": epoch, "is_judged": epoch <= self._num_judged, "done": is_done}
        # A trial that diverged has none, and Tune computes with what it finds. What confirms is not to be stopped.
        objective = metrics.get(self._metric) if self._is_searching else None
        return report if objective is None else report | {"objective": objective}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go over to another trial."""
        self._events.close()
        self._events = self._start(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the trial as it stands."""
        self._events.close()
