"""Trials that an earlier search of the study has trained: a changed search begins with those that lie in its space."""

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.search.open_trials import read_ended
from harness.search.space import SearchSpace
from harness.study import Study

if TYPE_CHECKING:
    import optuna

SPACE = "space"
"""The attribute of a history that holds its search's space. Without it (an earlier spikeslab, and the search was not
run again) nobody can tell whether the space was another, and its trials are left out."""


@dataclass(frozen=True)
class StoredTrial:
    """A trial that has ended, and what the sampler would have suggested for it."""

    trial: Trial
    result: Result
    configuration: dict[str, Any]
    parameters: dict[str, Any]


def find_stored_trials(
    study: Study, space: SearchSpace, others: "Sequence[optuna.Study]", study_folder: Path, *, known: Container[str]
) -> Iterator[StoredTrial]:
    """Find the trials of a study's other searches that lie in the space and have ended, in their order.

    Searches of the very same space, by another sampler or seed or with other seeds of training, are passed over: they
    are meant to be independent. One of other code is not: of its trials, those are found that are the same today.

    known: trial_ids that are passed over.
    """
    seen: set[str] = set()
    for other in others:
        known_space = other.user_attrs.get(SPACE)
        is_same = known_space == str(space)
        if known_space is None or (is_same and is_of_todays_code(space, other)):
            continue
        for frozen in other.get_trials(deepcopy=False):
            if (configuration := frozen.user_attrs.get("configuration")) is None:
                continue
            found = _find(study, space, configuration, study_folder)
            if found is not None and is_same and frozen.user_attrs.get("trial_id") != found.trial.trial_id:
                continue  # of the code that changed, or of other training seeds or data: those are independent, too
            if found is not None and found.trial.trial_id not in seen and found.trial.trial_id not in known:
                seen.add(found.trial.trial_id)
                yield found


def is_of_todays_code(space: SearchSpace, history: "optuna.Study") -> bool:
    """Whether the trials of a history are those that their configurations make today."""
    for frozen in history.get_trials(deepcopy=False):
        trial_id, configuration = (frozen.user_attrs.get(name) for name in ("trial_id", "configuration"))
        if trial_id is not None and configuration is not None:
            with suppress(InputError):  # what the older file allowed
                if space.make_trial(configuration).trial_id != trial_id:
                    return False
    return True


def _find(study: Study, space: SearchSpace, configuration: dict[str, Any], folder: Path) -> StoredTrial | None:
    try:
        trial = space.make_trial(configuration)
    except InputError:  # what the older file allowed
        return None
    if (place := space.locate(trial)) is None:
        return None
    result = read_ended(study, trial, folder)
    if result is None:
        return None
    _, candidate, parameters = place
    return StoredTrial(trial, result, candidate, parameters)
