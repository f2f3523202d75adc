"""Train many trials together, and hand each trial its events. Knows nothing of Ray.

Trials come at any time and join between epochs; those that end, or are released, make room for others, as requests do
in an LLM server that batches them continuously.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.datasets import Dataset
from harness.metrics import Measures
from harness.storage.place import HERE, Place
from harness.worker.images import Images
from harness.worker.memory import MemoryShortageError
from harness.worker.slots import Slot, Slots
from harness.worker.trial_run import TrialRun
from models.numerics.machine import is_fatal, is_out_of_memory
from models.training.make_trainer import choose_trainer, make_trainer
from models.training.state import TrainState, init_state
from models.training.trainer import EpochOutcome, Trainer

PATIENCE_SECONDS = 2.0
"""In step with a scheduler, an epoch waits so long at most for trials that have not asked for it."""


@dataclass(eq=False)
class Cohort:
    """Trials that are trained together: their trainer, the slots of its members in order, the images they share."""

    trainer: Trainer
    images: Images
    slots: list[Slot] = field(default_factory=list)

    def add(self, slot: Slot, state: TrainState) -> None:
        """Train a trial from now on; the trainer has room for it."""
        self.trainer.add(slot.run.settings, state.tensors(), epoch=state.epoch, step=state.step)
        self.slots.append(slot)

    def remove(self, slot: Slot) -> None:
        """Train a trial no longer."""
        index = self.slots.index(slot)
        self.trainer.remove(index)
        self.slots[index] = self.slots[-1]  # as the trainer does
        self.slots.pop()

    def copy_state(self, index: int) -> TrainState:
        """A member's state, in tensors that training does not change."""
        member = self.trainer.members[index]
        state = init_state(member.settings, self.images.shape, self.images.train.device, is_drawn=False)
        self.trainer.store(index, state.tensors())
        state.epoch, state.step = member.epoch, member.step
        return state


class Engine:
    """Trains the trials of one study that share a device.

    `slots` is for the trials' processes, and can be used from any thread; `run` is called from one thread.
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
        place: Place = HERE,
    ) -> None:
        """capacity: trials at once. latent_dim: the most that one can have.

        is_in_step: whether an epoch begins only when every trial's process has asked for it, so that a scheduler stops
        a trial before it is trained further.

        is_batched: whether trials of different widths are mixed, padded, as pays where their steps are taken together;
        by default on a GPU. Otherwise the trials of a cohort are alike, and each has the bits that it has alone.

        place: keeps the results, where the folder is only this machine's.
        """
        self._is_batched = device != "cpu" if is_batched is None else is_batched
        self._dataset, self._device, self._is_in_step = dataset, device, is_in_step
        self._capacity, self._latent_dim = capacity, latent_dim
        self.slots = Slots(lambda trial: TrialRun(trial, measures, study_folder, device, place))
        self._cohorts: list[Cohort] = []
        self._images: dict[tuple[int, bool], Images] = {}  # by number of images held out, and whether they are binary
        self._trained_at = 0.0

    def run(self, *, idle_seconds: float) -> None:
        """Train all trials that come, until none has come for so long.

        Raises:
            MemoryShortageError: there is not enough for all members. It has been raised in every trial's process, too.
            Exception: the device failed; raised there, too.
        """
        idle_since = time.monotonic()
        while not (time.monotonic() - idle_since > idle_seconds and self.slots.close_if_idle()):
            try:
                is_busy = self.step()
            except Exception as error:
                if not is_out_of_memory(error):
                    self.slots.fail_all(error)
                    raise
                lacking = MemoryShortageError(max(self.slots.num_members, 1))
                self.slots.fail_all(lacking)
                raise lacking from error
            if is_busy or not self.slots.is_idle or self._trained_at > idle_since:
                idle_since = time.monotonic()
            if not is_busy:
                self.slots.wait_for_change(0.2)

    def step(self) -> bool:
        """Admit trials that wait, and train all members for an epoch; returns whether any are left to train."""
        self.slots.release_abandoned()
        for slot in self.slots.admit(self._capacity):
            self._guard(slot, self._begin)
            if slot.has_ended:
                self.slots.remove(slot)
        if self._is_in_step:
            self.slots.wait_for_members(PATIENCE_SECONDS)
        for cohort in self._cohorts:
            self._fit_epoch(cohort)
        self._free_room()
        return bool(self._cohorts)

    def _begin(self, slot: Slot) -> None:
        """Restore a trial and add it to a cohort, unless it is trained already."""
        run = slot.run.__enter__()
        images = self._get_images(run.settings.num_validation, is_binary=run.settings.binarisation != "none")
        state = run.restore(images)
        self.slots.add_events(slot, run.list_stored())
        if (last := run.conclude(state, images)) is not None:
            self.slots.add_events(slot, [last], is_last=True)
            return
        cohort = self._find_cohort(run, images)
        if len(cohort.slots) == cohort.trainer.capacity:
            others = sum(other.trainer.capacity for other in self._cohorts if other is not cohort)
            room = max(self._capacity - others, len(cohort.slots) + 1)
            cohort.trainer.resize(min(2 * cohort.trainer.capacity, room))
        cohort.add(slot, state)

    def _get_images(self, num_validation: int, *, is_binary: bool) -> Images:
        key = num_validation, is_binary
        if key not in self._images:
            self._images[key] = Images.of(self._dataset, num_validation, self._device, is_binary=is_binary)
        return self._images[key]

    def _find_cohort(self, run: TrialRun, images: Images) -> Cohort:
        """The cohort that a trial can join, a new one if there is none."""
        kind = choose_trainer(run.settings)
        for cohort in self._cohorts:
            is_alike = cohort.images is images and isinstance(cohort.trainer, kind)
            if is_alike and cohort.trainer.admits(run.settings):
                return cohort
        trainer = make_trainer(
            run.settings,
            images.shape,
            latent_dim=self._latent_dim if self._is_batched else run.settings.latent_dim,
            device=self._device,
            is_batched=self._is_batched,
        )
        cohort = Cohort(trainer, images)
        self._cohorts.append(cohort)
        return cohort

    def _fit_epoch(self, cohort: Cohort) -> None:
        for slot in [slot for slot in cohort.slots if slot.is_released]:  # stopped by the scheduler or the user
            slot.run.leave(cohort.copy_state(cohort.slots.index(slot)))
            self._remove(cohort, slot)
        if not cohort.slots:
            return
        outcomes = cohort.trainer.fit_epoch(cohort.images.train)
        self._trained_at = time.monotonic()
        for index, (slot, outcome) in enumerate(zip(cohort.slots, outcomes, strict=True)):
            self._guard(slot, partial(self._measure, cohort, index, outcome))
        for slot in [slot for slot in cohort.slots if slot.has_ended]:
            self._remove(cohort, slot)

    def _measure(self, cohort: Cohort, index: int, outcome: EpochOutcome, slot: Slot) -> None:
        """Measure a member after an epoch, and hand on what there is to tell."""
        if isinstance(outcome, Exception):
            raise outcome
        state = cohort.copy_state(index)
        epoch = slot.run.add_epoch(state, outcome, cohort.images)
        last = slot.run.conclude(state, cohort.images)
        self.slots.add_events(slot, [last or epoch], is_last=last is not None)

    def _guard(self, slot: Slot, work: Callable[[Slot], None]) -> None:
        """Do something for a trial; an error ends the trial and no other."""
        try:
            work(slot)
        except Exception as error:
            if is_fatal(error):
                raise  # a new process can train on from the checkpoints
            try:
                self.slots.add_events(slot, [slot.run.fail(error)], is_last=True)
            except Exception as unwritten:  # the disk is full: the trial's process learns of it
                self.slots.fail([slot], unwritten)

    def _remove(self, cohort: Cohort, slot: Slot) -> None:
        cohort.remove(slot)
        self.slots.remove(slot)

    def _free_room(self) -> None:
        """Free the memory that is no longer needed."""
        self._cohorts = [cohort for cohort in self._cohorts if cohort.slots]
        for cohort in self._cohorts:
            if 4 * len(cohort.slots) <= cohort.trainer.capacity:
                cohort.trainer.resize(cohort.trainer.capacity // 2)
