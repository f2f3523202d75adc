"""Numbers of the published tables that no claim has: of models with 200 latent dimensions, at times less others."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.claims import MIN_SEEDS
from analysis.claims.levels import Level, select
from analysis.tables import Tables
from analysis.tables.significance import Estimate, estimate_difference
from analysis.wording import with_interval

ACCURACY, GATES_STUDY = "accuracy-vs-latent-dim", "gate-gradients"
SPARSE = {"model": "vsc", "alpha": 0.01}


def read_values(tables: Tables, metric: str, where: Mapping[str, Any]) -> NDArray[Any]:
    """A metric at 200 latent dimensions, of the trials with these settings of one configuration: (S,) by seed."""
    (sample,) = (one for one in Level(metric=metric, where=where).measure(tables) if one.latent_dim == 200)
    values: NDArray[Any] = sample.values[np.isfinite(sample.values)]  # not every seed is of each configuration
    assert len(values) >= MIN_SEEDS
    return values


def compare(
    tables: Tables, metric: str, first: Mapping[str, Any], second: Mapping[str, Any], *, scale: float = 1
) -> Estimate:
    """A metric at 200 latent dimensions with some settings less that with others, times `scale`."""
    ours, theirs = (read_values(tables, metric, where) * scale for where in (first, second))
    return estimate_difference(ours, theirs, "greater", 0)


def format_estimate(found: Estimate) -> str:
    """A mean with its interval."""
    return with_interval(float(found.mean), float(found.low), float(found.high))


def gates_of(
    estimator: str, *, alpha: float = 0.01, link: str = "sigmoid", schedule: str = "per_epoch"
) -> dict[str, Any]:
    """The settings of models that differ in how their gates were trained."""
    return {"estimator": estimator, "alpha": alpha, "gamma_link": link, "sharpness_schedule": schedule}


def compare_gates(tables: Mapping[str, Tables], first: str, second: str, **others: Any) -> Estimate:
    """The true bound with gates of one estimator less that of another, at 200 latent dimensions."""
    return compare(tables[GATES_STUDY], "test/elbo", gates_of(first, **others), gates_of(second, **others))


def read_last_loss(tables: Tables, where: Mapping[str, Any]) -> float:
    """The loss of test images after the last epoch, of samples as in training, at 200 latent dimensions: the mean."""
    trials = select(tables.trials, {**where, "latent_dim": 200})
    history = tables.history[tables.history["trial_id"].isin(trials["trial_id"])]
    return float(history[history["epoch"] == trials["epochs"].max()]["test/loss"].mean())
