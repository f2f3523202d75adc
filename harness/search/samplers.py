"""The samplers of Optuna, as searches use them."""

import warnings
from typing import TYPE_CHECKING, assert_never

from harness.study import Study

if TYPE_CHECKING:
    import optuna

POPULATION = 16
"""NSGA-II's population; a quarter of the trials if that is less, so that short searches have several generations."""

OF_GENERATIONS = ("cmaes", "nsga2")
"""These learn from the generations that they proposed themselves, and from no other trial."""


def make_sampler(study: Study, num_trials: int, seed: int) -> "optuna.samplers.BaseSampler":
    """Make the sampler of a study. num_trials: how many it will propose."""
    import optuna

    few = max(num_trials // 3, 1)
    with warnings.catch_warnings():  # some of these samplers are marked experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match study.search.sampler:
            case "gp":
                return optuna.samplers.GPSampler(seed=seed, n_startup_trials=min(10, few))
            case "cmaes":
                from harness.search.cmaes_sampler import GuardedCmaEsSampler

                return GuardedCmaEsSampler(
                    seed=seed, with_margin=True, consider_pruned_trials=study.scheduler.name != "fifo"
                )
            case "nsga2":
                size = min(POPULATION, max(num_trials // 4, 2))
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=size)
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=min(10, few)
                )
            case "grid" | "random" | "quasirandom":
                raise ValueError(f"{study.search.sampler} is none of Optuna's samplers")
            case other:
                assert_never(other)
