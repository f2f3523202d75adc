"""Histories in memory: what a sampler knows is chosen, and none of its answers is stored before its trial is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.search.space import SearchSpace
from harness.search.told import STATUS, Told, find_worst

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_NOT_OF_THE_SAMPLER = {"constraints", "fixed_params", "relative_params"}
"""What else Optuna notes of a trial: how it ended, what was asked for, and parameters, some of them not its own."""


def recall(
    ended: "Sequence[FrozenTrial]",
    running: "Sequence[FrozenTrial]",
    directions: Sequence[str],
    sampler: "optuna.samplers.BaseSampler",
) -> "optuna.Study":
    """Make a history in memory of these trials. running: how they ended, if they have, is not to be known.

    Those that diverged are the worst of `ended`, whatever was known when they were told.
    """
    import optuna

    history = optuna.create_study(directions=directions, sampler=sampler)
    worst = find_worst(ended, directions)
    history.add_trials([_create_diverged(trial, worst) if STATUS in trial.user_attrs else trial for trial in ended])
    history.add_trials([_create_running(trial, trial.user_attrs) for trial in running])
    return history


def name_parameters(space: SearchSpace, parameters: dict[str, Any]) -> "FrozenTrial":
    """Make the Optuna trial of a configuration that no sampler proposed. parameters: what it would have suggested."""
    import optuna

    history = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    history.enqueue_trial(parameters)
    space.suggest(history.ask())
    return history.get_trials(deepcopy=False)[0]


def store(history: "optuna.Study", proposed: "FrozenTrial", **attributes: Any) -> int:
    """Store a trial that begins, in one go; returns its number. attributes: of the user."""
    history.add_trial(_create_running(proposed, attributes))
    return len(history.get_trials(deepcopy=False)) - 1


def _create_running(proposed: "FrozenTrial", attributes: dict[str, Any]) -> "FrozenTrial":
    from optuna.trial import TrialState

    return _create(proposed, attributes, state=TrialState.RUNNING)


def _create_diverged(told: "FrozenTrial", worst: Told | None) -> "FrozenTrial":
    from optuna.trial import TrialState

    if worst is None:
        return _create(told, told.user_attrs, state=TrialState.FAIL)
    return _create(told, told.user_attrs, state=TrialState.COMPLETE, values=worst.values, constraints=worst.excesses)


def _create(proposed: "FrozenTrial", attributes: dict[str, Any], **end: Any) -> "FrozenTrial":
    """Make a trial of one that was proposed, with what the sampler noted of it, such as its generation."""
    import optuna

    noted = {
        name: value
        for name, value in proposed.system_attrs.items()
        if not _NOT_OF_THE_SAMPLER.intersection(name.split(":"))
    }
    return optuna.trial.create_trial(
        params=proposed.params,
        distributions=proposed.distributions,
        user_attrs=attributes,
        system_attrs=noted,
        **end,
    )
