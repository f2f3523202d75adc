"""Measure a trained model: the evaluations that a study can ask for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray

from harness.metrics import ARRAY_EVALUATIONS, EVALUATION_METRICS, Evaluation, Measures
from harness.worker.images import Images
from models.autoencoder import Autoencoder
from models.build import build_model
from models.measures.bounds import (
    RELAXED_SHARPNESS,
    Bound,
    compute_bound,
    compute_entropy_floor,
    compute_iw_bound,
    compute_reconstruction_error,
)
from models.measures.disentanglement.code_table import CodeTable
from models.measures.disentanglement.scores import make_code_table, measure_dci, measure_scores
from models.measures.edits import measure_edits
from models.measures.exhibits import make_exhibits
from models.measures.gate_gradients import measure_gate_gradients
from models.measures.inference_gap import compute_inference_gap
from models.measures.per_latent import make_latent_arrays
from models.measures.probes import run_control_probes, run_probes
from models.measures.sparsity import compute_sparsity
from models.randomness import make_stream
from models.settings import TrialSettings
from models.training.sharpness import compute_sharpness

ELBO_SAMPLES = 10
"""A trial's final bounds are means over this many passes over the test set, so that their sampling error is far below
the spread over seeds."""


def make_noise(seed: int, purpose: str, epoch: int = 0, *, device: str) -> torch.Generator:
    """Make the noise of one evaluation; each has its own stream, so that adding one changes no other."""
    return make_stream(seed, f"evaluate/{purpose}", epoch, device=device)


@dataclass(frozen=True)
class Evaluator:
    """Measures a trained model."""

    model: Autoencoder
    images: Images
    measures: Measures
    settings: TrialSettings
    say: Callable[[str], None] = lambda _: None  # is told how far a slow measure is

    def evaluate(self, name: Evaluation) -> dict[str, float]:
        """The metrics of one evaluation of a study; one that stores arrays has none.

        Raises:
            ValueError: it measures what the tables have no name for, and would lose.
        """
        metrics = {} if name in ARRAY_EVALUATIONS else MEASURES[name](self)
        if unnamed := metrics.keys() - EVALUATION_METRICS[name]:
            raise ValueError(f"{name}: EVALUATION_METRICS of harness/metrics.py lacks {', '.join(sorted(unnamed))}")
        return metrics

    @property
    def seed(self) -> int:
        """That of the trial."""
        return self.settings.seed

    def make_arrays(self, name: Evaluation) -> dict[str, NDArray[Any]]:
        """The arrays of one evaluation that stores some."""
        test = self.images.test, self.images.test_labels
        match name:
            case "latents":
                return make_latent_arrays(self.model, *test)
            case "exhibits":
                return make_exhibits(self.model, *test, seed=self.seed)
            case _:
                raise ValueError(f"{name} stores no arrays")

    @cached_property
    def code_table(self) -> CodeTable:
        """Codes of training images beside the factors that they were made from, for all measures of disentanglement."""
        assert self.images.train_factors is not None, "such a study is refused before it starts"
        return make_code_table(self.model, self.images.train_as_measured, self.images.train_factors)

    def make_noise(self, purpose: str) -> torch.Generator:
        """The noise of one evaluation."""
        return make_noise(self.seed, purpose, device=self.images.test.device.type)


def _measure_elbo(evaluator: Evaluator) -> dict[str, float]:
    hard = _compute_bound(evaluator, "test/elbo", sharpness=None)
    relaxed = _compute_bound(evaluator, "test/elbo_relaxed", sharpness=RELAXED_SHARPNESS)
    measured = {
        "test/elbo": -float(hard.rate + hard.distortion),
        "test/elbo_relaxed": -float(relaxed.rate + relaxed.distortion),
        "test/rate": float(hard.rate),
        "test/distortion": float(hard.distortion),
    }
    if evaluator.settings.likelihood == "bernoulli":  # a density has no floor
        measured["test/entropy_floor"] = compute_entropy_floor(evaluator.model, evaluator.images.test)
    return measured


def _compute_bound(evaluator: Evaluator, purpose: str, *, sharpness: float | None) -> Bound:
    noise = evaluator.make_noise(purpose)
    return compute_bound(evaluator.model, evaluator.images.test, noise, sharpness=sharpness, num_samples=ELBO_SAMPLES)


def _measure_iw_bound(evaluator: Evaluator) -> dict[str, float]:
    noise, num_samples = evaluator.make_noise("test/iw_bound"), evaluator.measures.iw_samples
    return {"test/iw_bound": compute_iw_bound(evaluator.model, evaluator.images.test, noise, num_samples=num_samples)}


def _measure_inference_gap(evaluator: Evaluator) -> dict[str, float]:
    noise = evaluator.make_noise("test/iw_bound_5000")
    bound = compute_inference_gap(evaluator.model, evaluator.images.test, noise)
    return {
        "test/iw_bound_5000": bound.iw_bound,
        "test/inference_gap": bound.gap_to_elbo,
        "test/iw_bound_gap": bound.gap_to_few,
    }


def _measure_sparsity(evaluator: Evaluator) -> dict[str, float]:
    sparsity = compute_sparsity(evaluator.model, evaluator.images.test, evaluator.make_noise("code"))
    return {f"code/{name}": value for name, value in sparsity.items()}


def _measure_gate_gradients(evaluator: Evaluator) -> dict[str, float]:
    images, settings = evaluator.images, evaluator.settings
    steps_per_epoch = math.ceil(settings.count_images(len(images.train)) / settings.batch_size)
    step = settings.epochs * steps_per_epoch
    sharpness = float(compute_sharpness(settings, torch.tensor([step]), steps_per_epoch))
    noise = evaluator.make_noise("gradient")
    measured = measure_gate_gradients(evaluator.model, images.test, noise, sharpness=sharpness, step=step)
    return {f"gradient/{name}": value for name, value in measured.items()}


def _measure_reconstruction(evaluator: Evaluator) -> dict[str, float]:
    return {"test/reconstruction_error": compute_reconstruction_error(evaluator.model, evaluator.images.test)}


def _measure_probe(evaluator: Evaluator) -> dict[str, float]:
    width = evaluator.measures.probe_width
    return run_probes(evaluator.model, *evaluator.images.labelled, seed=evaluator.seed, width=width)


def _measure_probe_controls(evaluator: Evaluator) -> dict[str, float]:
    images = evaluator.images
    untrained = build_model(evaluator.settings, images.shape).to(images.test.device)
    width = evaluator.measures.probe_width
    return run_control_probes(evaluator.model, *images.labelled, untrained=untrained, seed=evaluator.seed, width=width)


def _measure_edits(evaluator: Evaluator) -> dict[str, float]:
    return measure_edits(evaluator.model, *evaluator.images.labelled, seed=evaluator.seed)


def _measure_disentanglement(evaluator: Evaluator) -> dict[str, float]:
    return {f"disentanglement/{n}": v for n, v in measure_scores(evaluator.code_table, seed=evaluator.seed).items()}


def _measure_dci(evaluator: Evaluator) -> dict[str, float]:
    measured = measure_dci(evaluator.code_table, seed=evaluator.seed, say=evaluator.say)
    return {f"disentanglement/{name}": value for name, value in measured.items()}


MEASURES: Mapping[Evaluation, Callable[[Evaluator], dict[str, float]]] = {
    "elbo": _measure_elbo,
    "iw_bound": _measure_iw_bound,
    "inference_gap": _measure_inference_gap,
    "sparsity": _measure_sparsity,
    "gate_gradients": _measure_gate_gradients,
    "reconstruction": _measure_reconstruction,
    "probe": _measure_probe,
    "probe_controls": _measure_probe_controls,
    "edits": _measure_edits,
    "disentanglement": _measure_disentanglement,
    "dci": _measure_dci,
}
"""What computes the metrics of each evaluation."""
