"""The name of a sampler's history in its file: the same for as long as the search is."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from harness.study import Study
from harness.study.largest import list_training_plugins
from models.settings import SEMANTICS_VERSION

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


FIRST_SEMANTICS = 3
"""The training semantics that names do not hold."""


def name_history(study: Study, content_hash: str) -> str:
    """Name the history of a study's search. content_hash: of the dataset.

    What has its default is left out, so that a setting or an option added later changes no older history's name; and so
    is `mode`, which each metric knows. Values of other code are of another history: no trial of it is one of ours.
    """
    plugins = sorted({plugin.sha256 for plugin in list_training_plugins(study)})
    code: dict[str, Any] = {"plugins": plugins} if plugins else {}
    code |= {"semantics": SEMANTICS_VERSION} if SEMANTICS_VERSION != FIRST_SEMANTICS else {}
    return _hash(study, content_hash, _dump_given(_with_mode(study, None), _PARTS), code)


def list_former_names(study: Study, content_hash: str) -> list[str]:
    """List what earlier versions may have named the history, the newest first.

    They left out the code, held `mode` where the file gave it, and at first all defaults of a study that there could be
    then.
    """
    both = [_with_mode(study, mode) for mode in (None, study.mode)]
    contents = [_dump_given(given, _PARTS) for given in both]
    if contents == [_dump_given(given, _FORMER_PARTS) for given in both]:
        contents += [given.model_dump(mode="json", include=dict(_FORMER_PARTS)) for given in both]
    return [_hash(study, content_hash, content) for content in contents]


def _with_mode(study: Study, mode: Literal["max", "min"] | None) -> Study:
    # Not as a study from Python copies itself, with checks: several metrics and a mode together are none today.
    return Study.model_copy(study, update={"search": study.search.model_copy(update={"mode": mode})})


def _dump_given(study: Study, parts: Any) -> dict[str, Any]:
    return study.model_dump(mode="json", include=parts, exclude_defaults=True)


def _hash(study: Study, content_hash: str, content: dict[str, Any], code: Mapping[str, Any] | None = None) -> str:
    for ends in ("num_trials", "stop"):  # a longer search goes on
        content["search"].pop(ends, None)
    digest = hashlib.sha256(json.dumps([content, content_hash, *([code] if code else [])]).encode()).hexdigest()
    return f"{study.name}-{digest[:8]}"
