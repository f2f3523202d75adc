"""Which of the configurations that a study compares is the one of the defaults."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

DEFAULTS: Mapping[str, Any] = {
    "network": "mlp",
    "architecture": "report",
    "hidden": "[400]",
    "activation": "relu",
    "pixel_scaling": "minmax",
    "likelihood": "bernoulli",
    "variance": "per_pixel",
    "pixel_sd": 0.1,
    "initialisation": "kaiming",
    "gamma_link": "exp_relu",
    "gamma_clamp": 1e-6,
    "kl_from": "gamma",
    "sharpness_schedule": "per_epoch",
    "estimator": "relaxed",
    "selector": "sharpened",
    "learning_rate": 1e-3,
    "batch_size": 32,
}
"""Of settings that change what a model is, as tables have them: the report's own choices; of training, our defaults."""

OF_TRAINING = ("learning_rate", "batch_size")
"""Those of them that say how a model trains."""


def is_default(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Whether a row has all of these settings at their defaults; one that its model does not have counts as such."""
    known = [rows[name].isna() | rows[name].map(_as_text).eq(_as_text(DEFAULTS[name])) for name in names]
    return pd.concat(known, axis=1).all(axis=1) if known else pd.Series(True, index=rows.index)


def _as_text(value: Any) -> str:
    """A value in one way of writing: lists stand in tables as JSON, with blanks or without."""
    return json.dumps(json.loads(value)) if isinstance(value, str) and value.startswith("[") else str(value)
