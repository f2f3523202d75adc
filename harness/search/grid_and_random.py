"""Trials that are known before any of them runs: the points of a grid, or a random sample of the space."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.wording import plural
from harness.datasets import DatasetIdentity
from harness.ledger.result import Result
from harness.ledger.trainings import Trainings
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.open_trials import is_open
from harness.search.source import describe_forgotten, make_trial
from harness.study import Study


class ListSource:
    """A list of trials.

    Of trials that differ only in their number of epochs the shorter comes first, and the longer resumes from its state.
    """

    def __init__(self, study: Study, trials: Sequence[Trial], study_folder: Path) -> None:
        self.trials = trials
        self.num_trials = len(trials)
        results = [(trial, TrialFolder(study_folder, trial).read_result()) for trial in trials]
        still_open = [(trial, result) for trial, result in results if is_open(study, trial, result)]
        self._left = [trial for trial, _ in still_open]
        self.notices = describe_forgotten(study, trials, study_folder)
        if count := sum(result is not None and bool(result.stopped_by) for _, result in still_open):
            self.notices.append(
                f"{plural(count, 'trial')} that a scheduler stopped early will go on: the study's scheduler, or the "
                "metric that it compares, is another now."
            )
        self._running: set[str] = set()  # training_ids

    @property
    def is_waiting(self) -> bool:
        """Whether trials are left, which may wait for shorter ones."""
        return bool(self._left)

    def next(self) -> Trial | None:
        """Take the next trial of the list that has not ended and whose training is not running already."""
        for i, trial in enumerate(self._left):
            if trial.training_id not in self._running:
                self._running.add(trial.training_id)
                return self._left.pop(i)
        return None

    def tell(self, trial: Trial, result: Result) -> None:  # noqa: ARG002 (nothing to learn)
        """Let a longer trial use the training from now on."""
        self._running.discard(trial.training_id)


def plan_trials(study: Study, dataset: DatasetIdentity) -> list[Trial]:
    """List the trials of a grid or a random search, seed by seed, so that a study cut short has complete curves.

    Raises:
        InputError: a configuration is not legal for this dataset.
    """
    configurations = list(_list_configurations(study))
    return order_trials(
        make_trial(study, dataset, configuration, seed)
        for seed in study.all_seeds
        for configuration, seeds in configurations
        if seed in seeds
    )


def order_trials(trials: Iterable[Trial]) -> list[Trial]:
    """Drop repeated trials, and sort trials that share a training by length, within the positions that they have."""
    unique = {trial.trial_id: trial for trial in trials}.values()
    by_training: dict[str, list[Trial]] = {}
    for trial in unique:
        by_training.setdefault(trial.training_id, []).append(trial)
    queues = {name: iter(sorted(group, key=lambda t: t.settings.epochs)) for name, group in by_training.items()}
    return [next(queues[trial.training_id]) for trial in unique]


def count_epochs_to_train(trials: Iterable[Trial], study_folder: Path) -> dict[str, int]:
    """Count the epochs that each of these trials still has to train itself, by trial_id.

    Epochs that are stored, or that a shorter one of these trials will train, do not count.
    """
    trainings = Trainings(study_folder.parent)
    folders = ((trial, TrialFolder(study_folder, trial, trainings=trainings)) for trial in trials)
    return count_epochs_left((trial, folder.count_stored_epochs()) for trial, folder in folders)


def count_epochs_left(stored: Iterable[tuple[Trial, int]]) -> dict[str, int]:
    """Count as `count_epochs_to_train` does, of trials with the epochs that each finds stored."""
    left: dict[str, int] = {}
    reached: dict[str, int] = {}
    for trial, num_stored in sorted(stored, key=lambda pair: pair[0].settings.epochs):
        left[trial.trial_id] = trial.settings.epochs - max(num_stored, reached.get(trial.training_id, 0))
        reached[trial.training_id] = trial.settings.epochs
    return left


def _list_configurations(study: Study) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
    """List the points of a grid, or a sample of the space, each with its seeds."""
    if study.search.sampler == "grid":
        yield from study.enumerate_seeded()
        return
    spaces = study.sub_spaces()
    # A setting with one value needs no coordinate. A sub-space with fewer settings uses the first coordinates only.
    searched = [[name for name, domain in space.items() if domain.is_searched] for space in spaces]
    num_trials, num_dims = study.search.num_trials or 0, 1 + max(map(len, searched))
    for shares in _draw_shares(study, num_trials, num_dims):
        i = min(int(shares[0] * len(spaces)), len(spaces) - 1)
        places = dict(zip(searched[i], shares[1:], strict=False))
        yield {name: domain.at(places.get(name, 0.0)) for name, domain in spaces[i].items()}, study.seeds


def _draw_shares(study: Study, num_points: int, num_dims: int) -> list[list[float]]:
    """Draw points of the unit cube, (num_points, num_dims), independently or from a scrambled Sobol sequence.

    The first points do not depend on how many are drawn.
    """
    rng = np.random.Generator(np.random.PCG64(study.search.seed))
    match study.search.sampler:
        case "random":
            points = rng.random((num_points, num_dims))
        case "quasirandom":
            from scipy.stats import qmc

            # A power of two is drawn: other numbers of points are less even, and SciPy warns of them.
            power = math.ceil(math.log2(max(num_points, 1)))
            points = qmc.Sobol(num_dims, rng=rng).random_base2(power)[:num_points]
        case other:
            raise ValueError(f"{other} draws no points beforehand")
    return [[float(share) for share in point] for point in points]
