"""What is measured of a trained model, and on which images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from harness.metrics import Evaluation, Measures
from harness.worker.images import Images
from models.autoencoder import Autoencoder
from models.measures.bounds import (
    RELAXED_SHARPNESS,
    Bound,
    compute_bound,
    compute_iw_bound,
    compute_reconstruction_error,
)
from models.measures.edits import measure_edits
from models.measures.exhibits import make_exhibits
from models.measures.probes import run_probes
from models.measures.sparsity import compute_sparsity
from models.randomness import make_stream

ELBO_SAMPLES = 10
"""Passes over the test set that a trial's final bounds average over: their sampling error is then far below the
spread over seeds."""


def make_noise(seed: int, purpose: str, epoch: int = 0, *, device: str) -> torch.Generator:
    """The noise of one evaluation: each has its own, so that adding one changes no other."""
    return make_stream(seed, f"evaluate/{purpose}", epoch, device=device)


@dataclass(frozen=True)
class Evaluator:
    """A trained model, and what measures it."""

    model: Autoencoder
    images: Images
    measures: Measures
    seed: int

    def evaluate(self, name: Evaluation) -> dict[str, float]:
        """The metrics of one evaluation of a study."""
        measure: Callable[[], dict[str, float]] = getattr(self, f"_measure_{name}")
        return measure()

    def make_exhibits(self) -> dict[str, NDArray[Any]]:
        """Arrays for the qualitative figures."""
        return make_exhibits(self.model, self.images.test, self.images.test_labels, seed=self.seed)

    def _measure_elbo(self) -> dict[str, float]:
        hard = self._compute_bound("test/elbo", sharpness=None)
        relaxed = self._compute_bound("test/elbo_relaxed", sharpness=RELAXED_SHARPNESS)
        return {
            "test/elbo": -float(hard.rate + hard.distortion),
            "test/elbo_relaxed": -float(relaxed.rate + relaxed.distortion),
            "test/rate": float(hard.rate),
            "test/distortion": float(hard.distortion),
        }

    def _compute_bound(self, purpose: str, *, sharpness: float | None) -> Bound:
        noise = self._make_noise(purpose)
        return compute_bound(self.model, self.images.test, noise, sharpness=sharpness, num_samples=ELBO_SAMPLES)

    def _measure_iw_bound(self) -> dict[str, float]:
        noise, num_samples = self._make_noise("test/iw_bound"), self.measures.iw_samples
        return {"test/iw_bound": compute_iw_bound(self.model, self.images.test, noise, num_samples=num_samples)}

    def _measure_sparsity(self) -> dict[str, float]:
        sparsity = compute_sparsity(self.model, self.images.test, self._make_noise("code"))
        return {f"code/{name}": value for name, value in sparsity.items()}

    def _measure_reconstruction(self) -> dict[str, float]:
        return {"test/reconstruction_error": compute_reconstruction_error(self.model, self.images.test)}

    def _measure_probe(self) -> dict[str, float]:
        return run_probes(self.model, *self.images.labelled, seed=self.seed, width=self.measures.probe_width)

    def _measure_edits(self) -> dict[str, float]:
        return measure_edits(self.model, *self.images.labelled, seed=self.seed)

    def _measure_exhibits(self) -> dict[str, float]:
        return {}  # they are arrays, not numbers

    def _make_noise(self, purpose: str) -> torch.Generator:
        return make_noise(self.seed, purpose, device=self.images.test.device.type)
