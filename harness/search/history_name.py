"""The name of a sampler's history in its file: the same for as long as the search is."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from harness.study import Study

_PARTS = {"dataset", "defaults", "space", "seeds", "search", "scheduler"}  # of a study file

_FORMER_SETTINGS = {
    *("model", "latent_dim", "alpha", "gamma_link", "gamma_clamp", "sharpness", "sharpness_schedule", "estimator"),
    *("pixel_scaling", "initialisation", "beta", "hidden", "learning_rate", "batch_size", "epochs", "precision"),
    *("randomness", "num_validation"),
}
_FORMER_PARTS: Mapping[str, Any] = {
    "dataset": True,
    "defaults": _FORMER_SETTINGS,
    "space": {"__all__": _FORMER_SETTINGS},
    "seeds": True,
    "search": {"sampler", "num_trials", "metric", "mode", "seed"},
    "scheduler": {"name", "grace_epochs", "reduction_factor", "interval", "perturb"},
}
"""What study files could hold when names were made of all of it, with the defaults. None is ever added here."""


def name_history(study: Study, content_hash: str) -> str:
    """Name the history of a study's search. content_hash: of the dataset.

    What has its default is left out, so that a setting or an option added later changes no older history's name.
    """
    return _hash(study, content_hash, study.model_dump(mode="json", include=_PARTS, exclude_defaults=True))


def name_former_history(study: Study, content_hash: str) -> str | None:
    """Name the history as it was before defaults were left out; None for a study that there could not be then."""
    given, known = (
        study.model_dump(mode="json", include=parts, exclude_defaults=True) for parts in (_PARTS, _FORMER_PARTS)
    )
    if given != known:
        return None
    return _hash(study, content_hash, study.model_dump(mode="json", include=dict(_FORMER_PARTS)))


def _hash(study: Study, content_hash: str, content: dict[str, Any]) -> str:
    for ends in ("num_trials", "stop"):  # a longer search goes on
        content["search"].pop(ends, None)
    digest = hashlib.sha256(json.dumps([content, content_hash]).encode()).hexdigest()
    return f"{study.name}-{digest[:8]}"
