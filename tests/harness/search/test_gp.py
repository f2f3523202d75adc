"""The Gaussian process with two objectives, on a problem whose front is known: minutes, run by `make slow`."""

import math
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume

from harness.datasets import load_dataset
from harness.ledger.result import Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from tests.harness.search.searching import Searching

ZDT1 = """\
name: demo
dataset: digits
defaults: {epochs: 2, hidden: [8]}
space:
  - model: vsc
    latent_dim: 2
    alpha: {uniform: [0.000001, 0.999999]}
    beta: {uniform: [1, 2]}
    learning_rate: {uniform: [1, 2]}
    sharpness: {uniform: [1, 2]}
search: {sampler: SAMPLER, num_trials: 60, seed: SEED, metric: [val/rate, val/distortion]}
"""
CORNER = (1.1, 11.0)
"""The reference point; the hypervolume of the front, val/distortion = 1 - sqrt(val/rate), is 1.1 * 11 - 1 / 3."""


class Zdt1(Searching):
    """Each trial ends with the values of ZDT1 (Zitzler, Deb and Thiele, 2000) at its settings, scaled to [0, 1]."""

    def end(self, trial: Trial, *_: object, **__: object) -> Result:
        s = trial.settings
        assert s.alpha is not None
        assert s.sharpness is not None
        x, others = s.alpha, [s.beta - 1, s.learning_rate - 1, s.sharpness - 1]
        g = 1 + 9 * sum(others) / len(others)
        row = {"epoch": 1, "seconds": 0.1, "val/rate": x, "val/distortion": g * (1 - math.sqrt(x / g))}
        result = Result(status="finished", history=[row], evaluated=self.study.measures.evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result


def measure_hypervolume(folder: Path, sampler: str, seed: int) -> float:
    """Of what a search finds in 60 trials, up to the corner."""
    searching = Zdt1(folder, load_dataset("digits"), ZDT1.replace("SAMPLER", sampler).replace("SEED", str(seed)))
    searching.run()
    values = np.array([t.values for t in searching.optuna_trials() if t.values is not None])
    return float(compute_hypervolume(values[(values < CORNER).all(axis=1)], np.array(CORNER)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_gp_finds_the_front_of_two_objectives(tmp_path: Path) -> None:
    found = {
        sampler: [measure_hypervolume(tmp_path / f"{sampler}-{seed}", sampler, seed) for seed in range(3)]
        for sampler in ("gp", "tpe", "nsga2")
    }
    for sampler, volumes in found.items():
        print(
            f"\n{sampler}: median hypervolume {median(volumes):.2f} of 11.77 ({', '.join(f'{v:.2f}' for v in volumes)})"
        )
    assert median(found["gp"]) >= 11.6
    assert median(found["gp"]) > max(median(found["tpe"]), median(found["nsga2"]))
