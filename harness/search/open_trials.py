"""Which trials of a study still have to run, by what is stored of them."""

import json
from collections.abc import Iterable
from pathlib import Path

from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.study import Study


def is_open(study: Study, trial: Trial, result: Result | None) -> bool:
    """Whether a trial of this study still has to run. result: the stored one, if any."""
    stopped_by = None if result is None else result.stopped_by
    is_of_today = stopped_by is None or stopped_by == describe_stopping(study)
    stops_early = study.scheduler.name != "fifo" and trial.phase == "search" and is_of_today
    return needs_training(result, evaluate=study.measures.evaluated, stops_early=stops_early)


def needs_training(result: Result | None, *, evaluate: Iterable[str], stops_early: bool) -> bool:
    """Whether a trial has to run: it never ended, failed, was stopped by a scheduler that is gone, or lacks a measure.

    A trial that has ended but lacks a measure resumes from its checkpoint: nothing is trained twice.
    """
    if result is None or result.status in ("failed", "running"):
        return True
    if result.status == "stopped":
        return not stops_early
    return result.status == "finished" and not set(evaluate) <= set(result.evaluated)


def read_ended(study: Study, trial: Trial, study_folder: Path) -> Result | None:
    """Read how a trial of this study ended, in the study's folder; None if it still has to run."""
    result = TrialFolder(study_folder, trial).read_result()
    return None if is_open(study, trial, result) else result


def describe_stopping(study: Study) -> str:
    """What stops trials of this study early: its scheduler, as far as it is not the default one, and what it compares.

    It is stored with a trial that is stopped, which goes on once it is another.
    """
    scheduler = study.scheduler.model_dump(mode="json", exclude_defaults=True)
    return json.dumps({**scheduler, "metric": study.metric}, sort_keys=True)
