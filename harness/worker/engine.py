"""Train many trials together: what trains them, in stacks, and hands each its rows. Knows nothing of Ray.

Trials come at any time and are taken in between epochs; those that end, or are let go, make room for others. So an LLM
server batches requests.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from harness.datasets import Dataset
from harness.ledger.result import Row
from harness.ledger.trial import Trial
from harness.metrics import Measures
from harness.worker.images import Images
from harness.worker.trial_run import TrialRun
from models.build import build_model
from models.training.stacked.stack import Family, Stack
from models.training.state import TrainState
from models.training.trainer import DivergedError, EpochMetrics

ABANDONED_SECONDS = 60.0
"""A trial whose process has not asked for rows for so long has none any more: it is let go."""

DEVICE_ERRORS = (torch.AcceleratorError, torch.OutOfMemoryError)
"""After these a device's process is of no further use."""

PATIENCE_SECONDS = 2.0
"""In step with a scheduler, an epoch waits so long at most for a trial that has not asked for it."""


@dataclass
class _Place:
    """A trial in the engine."""

    ticket: int
    run: TrialRun
    rows: list[Row | Exception] = field(default_factory=list)  # not yet fetched
    asked_at: float = field(default_factory=time.monotonic)
    is_asking: bool = False
    is_over: bool = False  # no row comes after those in `rows`: it has ended, or was let go
    has_ended: bool = False  # its last row is there, and its files are written
    is_waiting: bool = True  # to be taken in


@dataclass
class _Group:
    """A stack, the trials that are its members, in its order, and the images that they share."""

    stack: Stack
    images: Images
    places: list[_Place] = field(default_factory=list)


class Engine:
    """Trains the trials of one study that share a device.

    `submit`, `fetch` and `leave` can be called from any thread, `run` from one.
    """

    def __init__(
        self,
        dataset: Dataset,
        measures: Measures,
        study_folder: Path,
        *,
        device: str = "cpu",
        capacity: int,
        latent_dim: int,
        is_in_step: bool = False,
        is_batched: bool | None = None,
    ) -> None:
        """capacity: trials at once. latent_dim: the most that one can have.

        is_in_step: whether an epoch begins only when every trial's process has asked for it, so that a scheduler stops
        a trial before it is trained further.

        is_batched: whether stacks mix trials of different widths, padded, as pays where their steps are taken together;
        by default on a GPU. Else those of a stack are alike, and each has, to the bit, the numbers that it has alone.
        """
        self._is_batched = device != "cpu" if is_batched is None else is_batched
        self._dataset, self._measures, self._study_folder = dataset, measures, study_folder
        self._device, self._capacity, self._latent_dim, self._is_in_step = device, capacity, latent_dim, is_in_step
        self._changed = threading.Condition()
        self._places: dict[int, _Place] = {}  # by ticket
        self._tickets = itertools.count()
        self._is_closed = False
        self._trained_at = 0.0
        self._groups: list[_Group] = []
        self._images: dict[int, Images] = {}  # by number of images held out

    # Called by the trials' processes

    def submit(self, trial: Trial) -> int:
        """Take a trial in, before the next epoch, from its checkpoint if it has one; returns the ticket to ask with.

        Raises:
            RuntimeError: the engine is about to end.
        """
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the engine is ending; another one will take the trial")
            for place in list(self._places.values()):
                if place.run.trial.trial_id == trial.trial_id:  # its process died and was started again
                    self._let_go(place.ticket)
            place = _Place(next(self._tickets), TrialRun(trial, self._measures, self._study_folder, self._device))
            self._places[place.ticket] = place
            self._changed.notify_all()
            return place.ticket

    def fetch(self, ticket: int) -> list[Row]:
        """A trial's rows since the last time, at least one; the last one of all says how the trial ended.

        Raises:
            KeyError: the trial has ended, or was let go.
            Exception: what kept the trial's end from being written, or the engine from going on.
        """
        with self._changed:
            place = self._places[ticket]
            place.is_asking = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: place.rows or place.is_over)
            place.is_asking, place.asked_at = False, time.monotonic()
            rows, place.rows = place.rows, []
            if place.is_over:
                self._places.pop(ticket, None)
        for row in rows:
            if isinstance(row, Exception):
                raise row
        return [row for row in rows if not isinstance(row, Exception)]

    def leave(self, ticket: int) -> None:
        """Let a trial go, as it stands; nothing if it has ended."""
        with self._changed:
            self._let_go(ticket)

    def _let_go(self, ticket: int) -> None:
        place = self._places.pop(ticket, None)
        if place is not None:
            place.is_over = True
            self._changed.notify_all()

    def flush(self, timeout: float) -> None:
        """Wait until all that was let go is stored, or for so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not any(p.is_over for g in self._groups for p in g.places), timeout)

    @property
    def is_idle(self) -> bool:
        """Whether there is no trial."""
        with self._changed:
            return not self._places

    # Called by the thread that trains

    def run(self, *, idle_seconds: float) -> None:
        """Train whoever comes, until nobody has come for so long.

        Raises:
            Exception: the device failed. Every trial has been told.
        """
        idle_since = time.monotonic()
        while not self._close_if(time.monotonic() - idle_since > idle_seconds):
            try:
                is_busy = self.step()
            except Exception as error:
                with self._changed:
                    for place in self._places.values():
                        place.rows, place.is_over = [*place.rows, error], True
                    self._changed.notify_all()
                    self._is_closed = True
                raise
            if is_busy or not self.is_idle or self._trained_at > idle_since:
                idle_since = time.monotonic()
            if not is_busy:
                with self._changed:
                    self._changed.wait(0.2)

    def _close_if(self, is_long_idle: bool) -> bool:
        """Whether the engine ends: nobody has come for long, and from now on nobody can."""
        with self._changed:
            self._is_closed = is_long_idle and not self._places
            return self._is_closed

    def step(self) -> bool:
        """Take in who waits, and train everyone for an epoch; whether there was anyone."""
        self._let_go_of_the_abandoned()
        self._admit()
        if self._is_in_step:
            self._wait_for_all()
        for group in self._groups:
            self._fit_epoch(group)
        self._tidy()
        return bool(self._groups)

    def _let_go_of_the_abandoned(self) -> None:
        limit = time.monotonic() - ABANDONED_SECONDS
        with self._changed:
            for place in list(self._places.values()):
                if not place.is_asking and place.asked_at < limit:
                    self._let_go(place.ticket)

    def _admit(self) -> None:
        with self._changed:
            waiting = [place for place in self._places.values() if place.is_waiting]
            room = self._capacity - sum(len(group.places) for group in self._groups)
        for place in waiting[: max(room, 0)]:
            place.is_waiting = False
            self._guard(place, self._begin)

    def _begin(self, place: _Place) -> None:
        """Restore a trial and give it a place in a stack, unless it is trained already."""
        run = place.run.__enter__()
        images = self._get_images(run.settings.num_validation)
        state = run.restore(images)
        self._add_rows(place, run.list_stored())
        if (last := run.conclude(state, images)) is not None:
            self._add_rows(place, [last], is_last=True)
            return
        group = self._find_group(run, images)
        if len(group.places) == group.stack.capacity:
            others = sum(other.stack.capacity for other in self._groups if other is not group)
            room = max(self._capacity - others, len(group.places) + 1)
            group.stack.resize(min(2 * group.stack.capacity, room))
        group.stack.add(run.settings, state.tensors(), epoch=state.epoch, step=state.step)
        group.places.append(place)

    def _get_images(self, num_validation: int) -> Images:
        if num_validation not in self._images:
            self._images[num_validation] = Images.of(self._dataset, num_validation, self._device)
        return self._images[num_validation]

    def _find_group(self, run: TrialRun, images: Images) -> _Group:
        family = Family.of(run.settings, images.train.shape[1])
        latent_dim = self._latent_dim if self._is_batched else run.settings.latent_dim
        for group in self._groups:
            own = group.stack.family
            suits = own.admits(run.settings) if self._is_batched else own == family
            if group.images is images and suits and group.stack.latent_dim == latent_dim:
                return group
        group = _Group(Stack(family, latent_dim, device=self._device, is_batched=self._is_batched), images)
        self._groups.append(group)
        return group

    def _wait_for_all(self) -> None:
        members = [place for group in self._groups for place in group.places]
        with self._changed:
            self._changed.wait_for(lambda: all(p.is_asking or p.is_over for p in members), PATIENCE_SECONDS)

    def _fit_epoch(self, group: _Group) -> None:
        gone = [place for place in group.places if place.is_over]  # stopped by the scheduler or the user
        for place in gone:
            place.run.leave(self._take(group.stack, group.places.index(place)))
        self._remove(group, gone)
        if not group.places:
            return
        outcomes = group.stack.fit_epoch(group.images.train)
        self._trained_at = time.monotonic()
        for index, (place, outcome) in enumerate(zip(group.places, outcomes, strict=True)):
            self._guard(place, partial(self._measure, group, index, outcome))
        self._remove(group, [place for place in group.places if place.has_ended])

    def _measure(self, group: _Group, index: int, outcome: EpochMetrics | DivergedError, place: _Place) -> None:
        """What a member's epoch gave, for its process and its files."""
        if isinstance(outcome, DivergedError):
            raise outcome
        state = self._take(group.stack, index)
        row = place.run.add_epoch(state, outcome, group.images)
        last = place.run.conclude(state, group.images)
        self._add_rows(place, [last or row], is_last=last is not None)

    def _take(self, stack: Stack, index: int) -> TrainState:
        """A member's state, apart from the stack."""
        member = stack.members[index]
        model = build_model(member.settings, stack.family.num_pixels, is_drawn=False).to(self._device)
        state = TrainState(model, epoch=member.epoch, step=member.step)
        stack.store(index, state.tensors())
        return state

    def _guard(self, place: _Place, work: Callable[[_Place], None]) -> None:
        """Do something for a trial; an error ends the trial and no other."""
        try:
            work(place)
        except DEVICE_ERRORS:
            raise  # nobody can go on; a new process can, from the checkpoints
        except Exception as error:
            try:
                row: Row | Exception = place.run.fail(error)
            except Exception as unwritten:  # the disk is full: the trial's process is told
                row = unwritten
            self._add_rows(place, [row], is_last=True)

    def _add_rows(self, place: _Place, rows: list[Row] | list[Row | Exception], *, is_last: bool = False) -> None:
        with self._changed:
            place.rows += rows
            place.is_over = place.is_over or is_last
            place.has_ended = is_last
            self._changed.notify_all()
        if is_last:
            place.run.__exit__()

    def _remove(self, group: _Group, gone: list[_Place]) -> None:
        for place in gone:
            index = group.places.index(place)
            group.stack.remove(index)
            group.places[index] = group.places[-1]  # as the stack does
            group.places.pop()
            place.run.__exit__()
        with self._changed:
            self._changed.notify_all()

    def _tidy(self) -> None:
        """Give back the room that nobody needs."""
        self._groups = [group for group in self._groups if group.places]
        for group in self._groups:
            if 4 * len(group.places) <= group.stack.capacity:
                group.stack.resize(group.stack.capacity // 2)
