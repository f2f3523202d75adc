"""A thread of the driver that sends the trials to MLflow as they train."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.ledger.names import MLFLOW_DATABASE
from harness.ledger.provenance import describe_provenance
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.tracking.explain import Failure, explain
from harness.tracking.mlflow_settings import is_own_store, tracking_uri
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.presentation import Presentation
from harness.tracking.write_ahead import watch_connections

LIVE_SECONDS = 5.0  # between two updates of a running trial
GIVE_UP_SECONDS = 20.0  # how long to try to send what is left at the end of a study
SILENCE_SECONDS = GIVE_UP_SECONDS + 60  # without a single trial sent, after which MLflow counts as not answering
MAX_BACKOFF = 30.0


class Tracker:
    """Sends trials to an MLflow store in a thread, so that a slow store never delays training.

    Only the newest news of each trial waits to be sent, so that the queue stays bounded.
    """

    def __init__(
        self,
        study: str,
        results: Path,
        tags: Mapping[str, str],
        on_failure: Callable[[Failure], None] = lambda _: None,
        *,
        folder: Path,
    ) -> None:
        """results: where MLflow's own store is. folder: of the study.

        on_failure: is called once, in the thread, with what somebody has to mend before anything can be sent."""
        self._on_failure: Callable[[Failure], None] | None = on_failure
        self._study, self._results, self._tags, self._folder = study, results, tags, folder
        self._pending: OrderedDict[str, tuple[Trial, Result]] = OrderedDict()
        self._sent_at: dict[str, float] = {}
        self._busy = False
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._closing_at: float | None = None
        self.run_ids: Mapping[str, str] = {}
        self.problem: Failure | None = None
        self._store: MlflowStore | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def start(self) -> None:
        """Start the thread once it is needed: importing MLflow takes seconds."""
        if not self._thread.ident:
            watch_connections()
            self._thread.start()

    def look_at_old_store(self) -> None:
        """Start at once where a store is there already, so that what is wrong with it is said before the training."""
        if not is_own_store() or (self._results / MLFLOW_DATABASE).exists():
            self.start()

    def update(self, trial: Trial, result: Result) -> None:
        """Note news of a trial to send; returns at once."""
        self.start()
        with self._wake:
            self._pending[trial.trial_id] = (trial, result)
            # A trial that takes only seconds is sent once, when it has ended.
            self._sent_at.setdefault(trial.trial_id, time.monotonic())
            self._wake.notify()

    def send_rest(self) -> int:
        """Send what is left, and nothing more from then on; returns how many trials could not be sent."""
        self.start()
        with self._wake:
            self._closing_at = time.monotonic()
            self._closing.set()
            self._wake.notify()
        left = None
        while self._thread.is_alive() and self._num_unsent != left:  # it may be slow, as long as it makes progress
            left = self._num_unsent
            self._thread.join(SILENCE_SECONDS)
        if self._thread.is_alive():
            self.problem = self.problem or Failure("it does not answer")
        return self._num_unsent

    def abandon(self) -> None:
        """End the parent run of a study that cannot be trained, if it has one."""
        if self._thread.ident:
            self.send_rest()
            self.close("FAILED", artifacts={})

    def close(
        self,
        status: str,
        *,
        artifacts: Mapping[str | None, Iterable[Path]],
        interrupted: Iterable[str] = (),
        shown: Presentation | None = None,
    ) -> None:
        """Store files in the parent run, and end it, where all of the study was sent.

        shown: what MLflow's pages of the study say, if that is known.
        """
        if self._store is not None and not self._pending and not self._thread.is_alive():
            try:
                for folder, paths in artifacts.items():
                    self._store.attach(paths, folder)
                if shown is not None:
                    self._store.present(shown)
                self._store.close(status, interrupted)
            except Exception as error:
                self.problem = self._explain(error)

    def _explain(self, error: Exception) -> Failure:
        failure = explain(error, tracking_uri(self._results))
        if failure.fix and self._on_failure is not None:
            tell, self._on_failure = self._on_failure, None
            tell(failure)
        return failure

    @property
    def _num_unsent(self) -> int:
        return len(self._pending) + self._busy

    def flush(self) -> None:
        """Wait until all news is sent, or until that fails."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (
            (self._pending or self._busy)
            and self.problem is None
            and self._thread.is_alive()
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)

    def _work(self) -> None:
        backoff = 1.0
        try:
            self._open()
        except Exception as error:  # tried again with the first trial; reported even if there is none
            self.problem = self._explain(error)
        while True:
            item = self._take()
            if item is None:
                return
            trial, result = item
            try:
                store = self._open()
                store.sync(trial, result, TrialFolder(self._folder, trial), self._tags)
            except Exception as error:
                self.problem = self._explain(error)
                with self._wake:  # newer news of the trial, if any, stays
                    self._pending.setdefault(trial.trial_id, (trial, result))
                    self._busy = False
                    patience = 0.0 if self.problem.fix else GIVE_UP_SECONDS
                    if self._closing_at and time.monotonic() - self._closing_at > patience:
                        return
                if self._closing.is_set():  # little time is left
                    time.sleep(1.0)
                else:
                    self._closing.wait(backoff)
                    backoff = min(2 * backoff, MAX_BACKOFF)
            else:
                self.problem, backoff = None, 1.0

    def _open(self) -> MlflowStore:
        if self._store is None:
            store = MlflowStore(self._study, self._results)
            self._tags = {**describe_provenance(), **self._tags}
            store.open(self._tags)
            self._store, self.run_ids = store, store.run_ids
        return self._store

    def _take(self) -> tuple[Trial, Result] | None:
        """Wait for news to send; returns None if closing and all is sent."""
        with self._wake:
            self._busy = False
            while True:
                now = time.monotonic()
                for trial_id, (_, result) in self._pending.items():
                    is_due = now - self._sent_at[trial_id] >= LIVE_SECONDS
                    if result.status != "running" or is_due or self._closing_at:
                        self._sent_at[trial_id] = now
                        self._busy = True
                        return self._pending.pop(trial_id)
                if self._closing_at is not None:
                    return None
                self._wake.wait(1.0)
