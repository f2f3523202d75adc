"""How much better than the best so far the next trial of a search can be expected to be.

Source: the expected improvement of Jones, Schonlau and Welch, Efficient global optimization of expensive black-box
functions (1998), equation 15, under a Gaussian process with a Matérn kernel (5/2) and noise.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.study.domains import Domain, Finite

NUM_CANDIDATES = 2000

Spaces = Sequence[Mapping[str, Domain]]


class Observed(NamedTuple):
    """A trial of the search, and what it came to."""

    sub_space: int
    configuration: Mapping[str, Any]  # its values of that sub-space's settings
    value: float  # the metric, where larger is better
    is_allowed: bool  # by the search's constraints


def count_needed(spaces: Spaces) -> int:
    """Count the values without which the process knows too little to say that nothing is left to gain."""
    return 10 + 3 * max(sum(domain.is_searched for domain in space.values()) for space in spaces)


def expect_gain(spaces: Spaces, known: Sequence[Observed], *, seed: int) -> float:
    """Find the largest expected improvement over random points of the space, in the metric's unit.

    That a candidate may break a constraint is left out, so that a search with constraints ends later, not sooner.
    """
    from scipy.stats import norm
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    points = np.array([_encode(spaces, one.sub_space, one.configuration) for one in known])
    values = np.array([one.value for one in known])
    allowed = np.array([one.is_allowed for one in known])
    if np.ptp(values) == 0:
        return 0.0
    scale = Matern(np.ones(points.shape[1]), (0.05, 20.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.01, 100.0)) * scale + WhiteKernel(0.01, (1e-6, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=2, random_state=seed)
    with warnings.catch_warnings():  # a length at its bound says that a setting does not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(points, values)
    best = process.predict(points[allowed]).max()
    rng = np.random.Generator(np.random.PCG64(seed))
    mean, deviation = process.predict(_draw(spaces, rng), return_std=True)
    noise = process.kernel_.k2.noise_level * values.std() ** 2  # of one trial, which is no gain
    deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-12 * values.var()))
    z = (mean - best) / deviation
    return float((deviation * (z * norm.cdf(z) + norm.pdf(z))).max())


def _draw(spaces: Spaces, rng: np.random.Generator) -> NDArray[np.float64]:  # -> (NUM_CANDIDATES, P)
    drawn = []
    for i in rng.integers(len(spaces), size=NUM_CANDIDATES):
        values = {name: domain.at(float(rng.random())) for name, domain in spaces[i].items()}
        drawn.append(_encode(spaces, int(i), values))
    return np.array(drawn)


def _encode(spaces: Spaces, index: int, values: Mapping[str, Any]) -> list[float]:
    """One coordinate for a number, one for each of several choices; what another sub-space has stays in the middle."""
    point = [float(i == index) for i in range(len(spaces))] if len(spaces) > 1 else []
    for i, space in enumerate(spaces):
        for name, domain in space.items():
            if not domain.is_searched:
                continue
            is_choice = isinstance(domain, Finite) and not all(isinstance(v, int | float) for v in domain.values)
            if isinstance(domain, Finite) and is_choice:
                point += [float(i == index and values[name] == value) for value in domain.values]
            else:
                point.append(domain.find_share(values[name]) if i == index else 0.5)
    return point
