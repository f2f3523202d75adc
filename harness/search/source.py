"""The protocol that every source of trials follows, and what sources share."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.datasets import DatasetIdentity
from harness.errors import InputError
from harness.ledger.names import HISTORY_FILE
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.study import Study


def has_history(study_folder: Path) -> bool:
    """Whether the history of an Optuna sampler is there; one that was emptied is none."""
    path = study_folder / HISTORY_FILE
    return path.exists() and path.stat().st_size > 0


class Source(Protocol):
    """Proposes trials, and is told how they ended."""

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial known so far, ended or not, in order."""

    @property
    def num_trials(self) -> int:
        """How many trials there will be in all."""

    @property
    def notices(self) -> Sequence[str]:
        """What begins anew although it was trained before, and why: a sentence each."""

    @property
    def is_waiting(self) -> bool:
        """Whether `next` may give more trials once running ones have ended."""

    def next(self) -> Trial | None:
        """Take the next trial to run; None if there is none now."""

    def tell(self, trial: Trial, result: Result) -> None:
        """Learn how a trial ended."""


def count_forgotten(study: Study, trials: Iterable[Trial], study_folder: Path) -> int:
    """Count the trials that have a result in the study's folder, but are not among these.

    None where the study confirms and has trained some of these: others may be those that confirm, planned at its end.
    """
    planned = {trial.training_id for trial in trials}
    trained = {path.parent.name for path in study_folder.glob("trials/*/result-*.json")}
    return 0 if study.confirm and planned & trained else len(trained - planned)


def describe_forgotten(study: Study, trials: Iterable[Trial], study_folder: Path) -> list[str]:
    """What to say of trained trials that a study no longer asks for."""
    count = count_forgotten(study, trials, study_folder)
    return [f"{count} trained trials are not of the study's file as it is now, and are not counted."] if count else []


def make_trial(study: Study, dataset: DatasetIdentity, configuration: Mapping[str, Any], seed: int) -> Trial:
    """Make one trial of a study.

    Raises:
        InputError: the configuration is not legal for this dataset.
    """
    try:
        settings = study.resolve(configuration, seed, num_train=dataset.num_train)
    except ValueError as error:
        raise InputError(study.place_complaint(str(error))) from None
    return Trial(settings, dataset.name, dataset.content_hash, plugins=settings.plugins, varied=study.varied_settings)
