"""The head of the cluster: a run whose head is gone is concluded, before Ray ends the process without a word."""

import threading
import time
from collections.abc import Callable
from typing import Self

import ray

from harness.cluster.connect import answers
from harness.tune.study_run import StudyRun

LOST_SECONDS = 25.0
"""Ray ends the process after 60, and there are tables to write."""

LEAVE_SECONDS = 5.0
LOOK_SECONDS = 2.0


class HeadGuard:
    """Looks, in a thread, whether the head still answers, and concludes the run where it has not for long.

    The main thread cannot: it most often waits within Ray for the head, for ever and deaf to signals.
    """

    def __init__(self, run: StudyRun, on_lost: Callable[[], None]) -> None:
        """on_lost: called in the thread; it ends the process."""
        self._run, self._on_lost = run, on_lost
        self._address = str(ray.get_runtime_context().gcs_address)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="head", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()

    def _work(self) -> None:
        heard = time.monotonic()
        while not self._closing.wait(LOOK_SECONDS):
            if answers(self._address):
                heard = time.monotonic()
            elif time.monotonic() - heard > LOST_SECONDS:
                break
        else:
            return
        self._run.end_with(
            f"{self._address}: the head of the cluster has not answered for {LOST_SECONDS:.0f} s; what was trained is "
            "stored, so see to the cluster, and run the study again to go on"
        )
        if not self._closing.wait(LEAVE_SECONDS):  # in which the main thread may leave, if it waits for nothing
            self._on_lost()
