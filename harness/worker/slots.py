"""The slots of an engine: what the trials' processes and the thread that trains share. Needs no torch to be read."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.ledger.result import Event
from harness.ledger.trial import Trial

if TYPE_CHECKING:
    from harness.worker.trial_run import TrialRun

ABANDONED_SECONDS = 60.0
"""A trial whose process has not asked for events for this long is released: the process must have died."""


class ReleasedError(KeyError):
    """A trial is no longer in the engine, which has stored what it had trained."""


@dataclass(eq=False)
class Slot:
    """A trial in the engine."""

    number: int  # which its process names it by
    run: "TrialRun"
    events: list[Event] = field(default_factory=list)  # not yet fetched
    error: Exception | None = None  # raised when its result was written, or in the engine
    asked_at: float = field(default_factory=time.monotonic)
    is_asking: bool = False
    is_released: bool = False  # its process wants no more events
    has_ended: bool = False  # its last event is there, and its files are written

    @property
    def is_over(self) -> bool:
        """Whether no event comes after those in `events`."""
        return self.is_released or self.has_ended


class Slots:
    """All trials of an engine, those that wait for room and those that are being trained, its members.

    Every method can be called from any thread.
    """

    def __init__(self, make_run: "Callable[[Trial], TrialRun]") -> None:
        self._make_run = make_run
        self._changed = threading.Condition()
        self._slots: dict[int, Slot] = {}  # by number, until their processes have fetched all events
        self._waiting: list[Slot] = []
        self._members: list[Slot] = []
        self._numbers = itertools.count()
        self._is_closed = False

    # Called by the trials' processes

    def submit(self, trial: Trial) -> int:
        """Let a trial join before the next epoch, from its checkpoint if it has one; returns the number of its slot.

        Raises:
            RuntimeError: the engine is about to end.
        """
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the engine is ending; another one will take the trial")
            for old in list(self._slots.values()):
                if old.run.trial.trial_id == trial.trial_id:  # its process died and was started again
                    self._release(old)
            slot = Slot(next(self._numbers), self._make_run(trial))
            self._slots[slot.number] = slot
            self._waiting.append(slot)
            self._changed.notify_all()
            return slot.number

    def fetch(self, number: int) -> list[Event]:
        """Wait for a trial's next events; returns all since the last call. The last one of all is its pause or its end.

        Raises:
            ReleasedError: the trial has ended, or was released.
            Exception: the trial's result could not be written, or the engine failed.
        """
        with self._changed:
            if (slot := self._slots.get(number)) is None:
                raise ReleasedError(number)
            slot.is_asking = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: slot.events or slot.is_over)
            slot.is_asking, slot.asked_at = False, time.monotonic()
            events, slot.events = slot.events, []
            if slot.is_over:
                self._slots.pop(number, None)
        if slot.error is not None:
            raise slot.error
        return events

    def leave(self, number: int) -> None:
        """Release a trial before its end; do nothing if it has ended."""
        with self._changed:
            if number in self._slots:
                self._release(self._slots[number])

    def flush(self, timeout: float) -> None:
        """Wait until the states of all released trials are stored, or until the timeout, in seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not any(slot.is_over for slot in self._members), timeout)

    @property
    def is_idle(self) -> bool:
        """Whether there are no trials."""
        with self._changed:
            return not self._slots

    # Called by the thread that trains

    @property
    def num_members(self) -> int:
        """How many trials are being trained."""
        with self._changed:
            return len(self._members)

    def admit(self, capacity: int) -> list[Slot]:
        """Make waiting trials members, up to the capacity; returns the new members."""
        with self._changed:
            new = self._waiting[: max(capacity - len(self._members), 0)]
            self._waiting = self._waiting[len(new) :]
            self._members += new
            return new

    def add_events(self, slot: Slot, events: Sequence[Event], *, is_last: bool = False) -> None:
        """Give a trial's process its next events."""
        with self._changed:
            slot.events += events
            slot.has_ended = is_last
            self._changed.notify_all()

    def fail(self, slots: Iterable[Slot], error: Exception) -> None:
        """Raise an error in the processes of some trials."""
        with self._changed:
            for slot in slots:
                slot.error, slot.has_ended = error, True
            self._changed.notify_all()

    def fail_all(self, error: Exception) -> None:
        """Raise an error in the processes of all trials, close their files, and accept no more trials."""
        with self._changed:
            self._is_closed = True
            self.fail(self._slots.values(), error)
            for slot in self._slots.values():
                slot.run.__exit__()

    def remove(self, slot: Slot) -> None:
        """End a trial's membership, once its state is stored."""
        slot.run.__exit__()
        with self._changed:
            self._members.remove(slot)
            self._changed.notify_all()

    def release_abandoned(self) -> None:
        """Release the trials whose processes have died."""
        limit = time.monotonic() - ABANDONED_SECONDS
        with self._changed:
            for slot in list(self._slots.values()):
                if not slot.is_asking and slot.asked_at < limit:
                    self._release(slot)

    def release_all(self) -> None:
        """Release all trials, and accept no more: nobody is there any more to whom their events are of use."""
        with self._changed:
            self._is_closed = True
            for slot in list(self._slots.values()):
                self._release(slot)

    def wait_for_members(self, timeout: float) -> None:
        """Wait until every member's process has asked for events, or until the timeout, in seconds."""
        with self._changed:
            self._changed.wait_for(lambda: all(slot.is_asking or slot.is_over for slot in self._members), timeout)

    def wait_for_change(self, timeout: float) -> None:
        """Wait until a process calls, or until the timeout, in seconds."""
        with self._changed:
            self._changed.wait(timeout)

    def close_if_idle(self) -> bool:
        """Accept no more trials if there are none now; returns whether that is so."""
        with self._changed:
            self._is_closed = not self._slots
            return self._is_closed

    def _release(self, slot: Slot) -> None:
        del self._slots[slot.number]
        if slot in self._waiting:
            self._waiting.remove(slot)
        slot.is_released = True
        self._changed.notify_all()
