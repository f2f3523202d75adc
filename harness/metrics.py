"""The names of metrics and evaluations, as in tables, MLflow and study files, and what a trial measures of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from models.measures.metric_names import (
    BOUNDS_VERSION,
    CONTROL_METRICS,
    DCI_METRICS,
    DISENTANGLEMENT_METRICS,
    DISENTANGLEMENT_VERSION,
    EDIT_METRICS,
    EDITS_VERSION,
    EXHIBITS_VERSION,
    GRADIENT_METRICS,
    GRADIENTS_VERSION,
    PROBE_METRICS,
    PROBE_VERSION,
    SPARSITY_METRICS,
    SPARSITY_VERSION,
)

Evaluation = Literal[
    "elbo",
    "iw_bound",
    "inference_gap",
    "sparsity",
    "latents",
    "gate_gradients",
    "reconstruction",
    "probe",
    "probe_controls",
    "edits",
    "disentanglement",
    "dci",
    "exhibits",
]
TRAIN_METRICS = ("train/loss", "train/rate", "train/distortion")
TEST_METRICS = ("test/loss",)
VALIDATION_METRICS = ("val/loss", "val/elbo", "val/rate", "val/distortion", "val/nonzero_fraction")
COST_METRICS = ("train_seconds",)
EVALUATION_METRICS: Mapping[Evaluation, tuple[str, ...]] = {
    "elbo": ("test/elbo", "test/elbo_relaxed", "test/rate", "test/distortion", "test/entropy_floor"),
    "iw_bound": ("test/iw_bound",),
    "inference_gap": ("test/iw_bound_5000", "test/inference_gap", "test/iw_bound_gap"),
    "sparsity": SPARSITY_METRICS,
    "latents": (),
    "gate_gradients": GRADIENT_METRICS,
    "reconstruction": ("test/reconstruction_error",),
    "probe": PROBE_METRICS,
    "probe_controls": CONTROL_METRICS,
    "edits": EDIT_METRICS,
    "disentanglement": DISENTANGLEMENT_METRICS,
    "dci": DCI_METRICS,
    "exhibits": (),
}
FACTOR_EVALUATIONS: tuple[Evaluation, ...] = ("disentanglement", "dci")
"""Evaluations that need to know the factors that images were made from."""
CLASS_EVALUATIONS: tuple[Evaluation, ...] = ("probe", "probe_controls", "edits")
"""Evaluations that tell classes of images apart."""
ARRAY_EVALUATIONS: tuple[Evaluation, ...] = ("latents", "exhibits")
"""Evaluations that store arrays, for figures: what each latent does; codes and pictures."""


def evaluation_of(evaluated: str) -> Evaluation:
    """The evaluation of an entry of `Measures.evaluated`, such as iw_bound@50."""
    return cast("Evaluation", evaluated.partition("@")[0])


@dataclass(frozen=True)
class Measures:
    """What a trial measures, and when it stores its state; none of it changes how the model trains."""

    evaluate: tuple[str, ...]
    iw_samples: int
    checkpoint_every: int
    probe_width: int = 128

    @property
    def evaluated(self) -> list[str]:
        """The evaluations of a finished trial, each with the options that its numbers depend on."""
        probe = f"{self.probe_width}v{PROBE_VERSION}"
        depends = {
            "elbo": f"v{BOUNDS_VERSION}",
            "iw_bound": f"{self.iw_samples}v{BOUNDS_VERSION}",
            "gate_gradients": f"v{GRADIENTS_VERSION}",
            "exhibits": f"v{EXHIBITS_VERSION}",
            "sparsity": f"v{SPARSITY_VERSION}",
            "probe": probe,
            "probe_controls": probe,
            "edits": f"v{EDITS_VERSION}",
            "disentanglement": f"v{DISENTANGLEMENT_VERSION}",
            "dci": f"v{DISENTANGLEMENT_VERSION}",
        }
        return [f"{name}@{depends[name]}" if name in depends else name for name in self.evaluate]
