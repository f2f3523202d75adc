"""The protocol that every source of trials follows."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.datasets import DatasetIdentity
from harness.errors import InputError
from harness.ledger.result import Result, needs_training
from harness.ledger.trial import Trial
from harness.study import Study

HISTORY_FILE = "optuna.db"
"""The history of an Optuna sampler, in the folder of a study."""


class Source(Protocol):
    """Proposes trials, and is told how they ended."""

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial known so far, ended or not, in order."""

    @property
    def num_trials(self) -> int:
        """How many trials there will be in all."""

    @property
    def is_waiting(self) -> bool:
        """Whether `next` may give more trials once running ones have ended."""

    def next(self) -> Trial | None:
        """Take the next trial to run; None if there is none now."""

    def tell(self, trial: Trial, result: Result) -> None:
        """Learn how a trial ended."""


def is_open(study: Study, trial: Trial, result: Result | None) -> bool:
    """Whether a trial of this study still has to run. result: the stored one, if any."""
    stops_early = study.scheduler.name != "fifo" and trial.phase == "search"
    return needs_training(result, evaluate=study.measures.evaluated, stops_early=stops_early)


def make_trial(study: Study, dataset: DatasetIdentity, configuration: Mapping[str, Any], seed: int) -> Trial:
    """Make one trial of a study.

    Raises:
        InputError: the configuration is not legal for this dataset.
    """
    try:
        settings = study.resolve(configuration, seed, num_train=dataset.num_train)
    except ValueError as error:
        raise InputError(f"study {study.name}: {error}") from None
    return Trial(settings, dataset.name, dataset.content_hash)
