"""What is known of each metric: how a reader calls it, its unit, where it lies and which way is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from analysis.wording import NATS

Limits = tuple[float, float]

ANYWHERE: Limits = (-math.inf, math.inf)
NEVER_NEGATIVE: Limits = (0.0, math.inf)
SHARE: Limits = (0.0, 1.0)
DIFFERENCE_OF_SHARES: Limits = (-1.0, 1.0)


@dataclass(frozen=True)
class Metric:
    """What is known of a metric.

    label: as a reader says it; empty where it is the name. whole: what it is a share of, where it has no unit.
    limits: the numbers between which it lies.
    """

    label: str = ""
    unit: str = ""
    whole: str = ""
    limits: Limits = ANYWHERE
    is_lower_better: bool = False

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether a higher (max) or a lower (min) value is better."""
        return "min" if self.is_lower_better else "max"

    @property
    def unit_or_whole(self) -> str:
        """What stands behind its number: its unit, or what it is a share of, or nothing."""
        return self.unit or self.whole


_NOT_NEGATIVE = Metric(limits=NEVER_NEGATIVE)
_LOWER_NOT_NEGATIVE = Metric(limits=NEVER_NEGATIVE, is_lower_better=True)
_OF_IMAGES = Metric(whole="of the images", limits=SHARE)
_OF_PIXELS = Metric(whole="of the inked pixels", limits=SHARE)

METRICS: Mapping[str, Metric] = {
    "loss": Metric(unit=NATS, is_lower_better=True),
    "elbo": Metric("ELBO", NATS),
    "elbo_relaxed": Metric("relaxed ELBO", NATS),
    "iw_bound": Metric("importance-weighted bound", NATS),
    "iw_bound_5000": Metric(unit=NATS),
    "rate": Metric(unit=NATS, limits=NEVER_NEGATIVE, is_lower_better=True),
    "distortion": Metric(unit=NATS, is_lower_better=True),
    "entropy_floor": Metric(unit=NATS, limits=NEVER_NEGATIVE),
    "inference_gap": Metric(unit=NATS, is_lower_better=True),
    "iw_bound_gap": Metric(unit=NATS, is_lower_better=True),
    "reconstruction_error": replace(_LOWER_NOT_NEGATIVE, whole="of relative squared error"),
    "slab_prob": Metric(limits=SHARE),
    "nonzero_fraction": Metric("non-zero fraction of the code", "", "of the latents", SHARE, is_lower_better=True),
    "num_nonzero": _LOWER_NOT_NEGATIVE,
    "hoyer": Metric(limits=SHARE),
    "active_units": _NOT_NEGATIVE,
    "num_informative": _NOT_NEGATIVE,
    "always_on_fraction": Metric(whole="of the informative latents", limits=SHARE, is_lower_better=True),
    "gate_information": Metric(unit="nats", limits=NEVER_NEGATIVE),
    "support_overlap": Metric(limits=SHARE, is_lower_better=True),
    "support_overlap_same_image": Metric(limits=SHARE),
    "class_kept": _OF_IMAGES,
    "class_kept_other": _OF_IMAGES,
    "class_kept_beyond_other": replace(_OF_IMAGES, limits=DIFFERENCE_OF_SHARES),
    "changed_pixels": replace(_OF_PIXELS, is_lower_better=True),
    "changed_pixels_other": _OF_PIXELS,
    "changed_pixels_beyond_other": replace(_OF_PIXELS, limits=DIFFERENCE_OF_SHARES),
    "num_on": _NOT_NEGATIVE,
    "num_images": _NOT_NEGATIVE,
    "num_knn_images": _NOT_NEGATIVE,
    "num_active": _NOT_NEGATIVE,
    "train_seconds": Metric("training time", "seconds", limits=NEVER_NEGATIVE, is_lower_better=True),
    "peak_memory_mb": Metric("peak memory", "MB", limits=NEVER_NEGATIVE, is_lower_better=True),
}
"""By the name behind the split. Families have one entry in `metric_of`; of others nothing is known."""

SPLITS = {"train": "training", "val": "validation", "test": "test", "code": "test"}


def metric_of(name: str) -> Metric:
    """What is known of a metric such as test/elbo, whatever its split."""
    split, _, bare = name.rpartition("/")
    if bare in METRICS:
        return METRICS[bare]
    if bare.endswith("_accuracy") or split == "disentanglement":
        return Metric(limits=SHARE)
    if bare.endswith("_dead_logits") or split == "gradient":
        return _LOWER_NOT_NEGATIVE
    if split == "probe" and bare.endswith("_c"):
        return _NOT_NEGATIVE
    return Metric()


def metric_label(name: str) -> str:
    """A metric as a reader says it, without its unit."""
    split, _, bare = name.rpartition("/")
    return " ".join(filter(None, [SPLITS.get(split, split), metric_of(name).label or bare.replace("_", " ")]))
