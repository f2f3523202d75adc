"""One trial as a Ray Tune trainable: a thin shell around `run_trial`."""

import os
import signal
import socket
import time
from collections.abc import Generator
from functools import partial
from typing import Any

import ray
from ray import tune

from harness.cluster.draining import watch_draining
from harness.datasets import Dataset
from harness.ledger.result import Ended, Epoch, Event, measure_spending
from harness.ledger.trial_folder import TrialFolder
from harness.metrics import Measures
from harness.plugins.use import use_plugins
from harness.storage.place import Place
from harness.tune.driver import Driver, LeavingError, UnfitError
from harness.tune.engine_actor import EngineSpec, train_fused


class StudyTrainable(tune.Trainable):  # type: ignore[misc]
    """Trains an epoch or a few at each step. Its process is reused for later trials, which saves start-up time.

    Tune's checkpoints are not used: a trial finds its newest state by its identity, even if Tune knows of no earlier
    run.
    """

    def setup(
        self,
        config: dict[str, Any],
        *,
        dataset: Dataset,
        measures: Measures,
        place: Place,
        study: str,
        metric: str,
        report_seconds: float,
        engines: EngineSpec | None,
        driver: Driver,
    ) -> None:
        """dataset: in memory that all trials of the machine share, read-only.

        report_seconds: how long to train before a report; 0 reports each epoch. engines: train trials that share a
        device together; None: train each trial in its own process.

        A process that is not fit to train says so at its first step: where it cannot be made, Tune gives the trial up.
        """
        self._events: Generator[Event] | None = None
        self._unfit: UnfitError | None = None
        self._is_stepping = False
        self._notices: list[str] = []
        try:
            driver.join()
        except UnfitError as error:
            self._unfit = error
            return
        signal.signal(signal.SIGTERM, self._note_ending)
        if ray.is_initialized():
            watch_draining(partial(os.kill, os.getpid(), signal.SIGTERM))
        if engines is None:
            use_plugins(driver.plugins)
        self._dataset, self._measures = dataset, measures
        self._place, self._study_folder = place, place.folder / study
        self._metric, self._report_seconds, self._engines = metric, report_seconds, engines
        self._events = self._start(config)

    def _note_ending(self, *_: object) -> None:
        """Store what is trained, and train no more: the machine is taken away, and Ray on it may live for a moment."""
        self._unfit = LeavingError(f"{socket.gethostname()} was asked to end")
        if not self._is_stepping:
            self.cleanup()

    def _start(self, config: dict[str, Any]) -> Generator[Event]:
        self._is_searching = config["trial"].phase == "search"
        self._train_seconds = 0.0
        folder = TrialFolder(self._study_folder, config["trial"], self._place)
        folder.fetch(whole=False)
        self._num_judged = folder.count_own_epochs()
        if self._engines is not None:
            return train_fused(self._engines, config["trial"], self._notices.append)
        # Imported here, as the driver imports this file, too, and does not need torch.
        from harness.worker.trial_run import run_trial

        device = "cuda" if config["gpu"] else "cpu"
        return run_trial(
            config["trial"], self._measures, self._dataset, self._study_folder, device=device, place=self._place
        )

    def step(self) -> dict[str, Any]:
        """Train the next epochs; returns their `events`, and what schedulers read: spending, `objective`, `is_judged`.

        notices: sentences for the user. is_judged: an earlier run of the study has trained the trial this far and did
        not stop it.

        Raises:
            UnfitError: this process runs other code, does not see the study's folder, or was asked to end.
            MemoryShortageError: the trial needs more memory than there is now.
        """
        if self._unfit is not None:
            raise self._unfit
        self._is_stepping = True
        try:
            events = self._train()
        finally:
            self._is_stepping = False
        metrics, is_done = events[-1].metrics, not isinstance(events[-1], Epoch)
        self._train_seconds += sum(event.metrics.get("seconds") or 0 for event in events)
        spent = measure_spending(metrics, self._train_seconds)
        report = {"events": events, **spent, "is_judged": spent["epoch"] <= self._num_judged, "done": is_done}
        report["notices"] = list(self._notices)
        self._notices.clear()  # in place, as others hold it
        # No objective where there is no value, as Tune computes with what it finds; nor in trials that confirm, as
        # schedulers are not to stop those.
        objective = metrics.get(self._metric) if self._is_searching else None
        return report if objective is None else report | {"objective": objective}

    def _train(self) -> list[Event]:
        """Train for as long as a report holds, or until the process is asked to end."""
        deadline = time.monotonic() + self._report_seconds
        events: list[Event] = []
        while self._unfit is None and (not events or (time.monotonic() < deadline and isinstance(events[-1], Epoch))):
            assert self._events is not None
            events.append(next(self._events))
        if self._unfit is not None and not (events and isinstance(events[-1], Ended)):
            self.cleanup()
            raise self._unfit
        return events

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Continue with another trial."""
        self.cleanup()
        if self._unfit is None:
            self._events = self._start(new_config)
        return True

    def cleanup(self) -> None:
        """Stop the trial, as far as it is."""
        if self._events is not None:
            self._events.close()
