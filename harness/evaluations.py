"""What is measured of a trained model, and on which images."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.datasets import Dataset
from harness.datasets.split import split_stratified
from harness.ledger import Measures
from harness.metrics import Evaluation
from models.autoencoder import Autoencoder
from models.edits import measure_edits
from models.evaluation import (
    RELAXED_SHARPNESS,
    Bound,
    compute_bound,
    compute_iw_bound,
    compute_reconstruction_error,
    compute_sparsity,
)
from models.exhibits import make_exhibits
from models.probes import run_probes
from models.randomness import make_stream

VALIDATION_SEED = 20190102
"""Of the split, not of a trial: every trial of every study holds out the same images."""

ELBO_SAMPLES = 10
"""Passes over the test set that a trial's final bounds average over: their sampling error is then far below the
spread over seeds."""


@dataclass(frozen=True)
class Images:
    """What one trial trains and is measured on, each (N, pixels) uint8, on the device that trains."""

    train: Tensor
    validation: Tensor | None
    test: Tensor
    train_labels: Tensor  # (N,) of the images trained on
    test_labels: Tensor  # (N,)
    shape: tuple[int, int]  # height and width of an image

    @classmethod
    def of(cls, dataset: Dataset, num_validation: int, device: str) -> "Images":
        """The images of a dataset, some of the training images held out."""
        train, validation = _as_tensor(dataset.train_images), None
        labels, test_labels = (_as_labels(own) for own in (dataset.train_labels, dataset.test_labels))
        if num_validation:
            kept, held_out = split_stratified(dataset.train_labels, num_validation, VALIDATION_SEED)
            train, validation = train[torch.from_numpy(kept)], train[torch.from_numpy(held_out)].to(device)
            labels = labels[torch.from_numpy(kept)]
        height, width = dataset.test_images.shape[-2:]
        test = _as_tensor(dataset.test_images).to(device)
        return cls(train.to(device), validation, test, labels, test_labels, (height, width))

    @property
    def labelled(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Training images and labels, test images and labels."""
        return self.train, self.train_labels, self.test, self.test_labels


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
        return make_exhibits(self.model, self.images.test, self.images.test_labels, self.images.shape, seed=self.seed)

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


def _as_tensor(images: NDArray[np.uint8]) -> Tensor:  # (N, C, H, W) -> (N, pixels)
    with warnings.catch_warnings():
        # The images may lie in memory shared by all trials of the machine, which is read-only; so do we read only.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images.reshape(len(images), -1))


def _as_labels(labels: NDArray[np.integer[Any]]) -> Tensor:  # (N,) -> (N,)
    return torch.from_numpy(labels.astype(np.int64))
