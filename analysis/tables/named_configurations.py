"""Trials named by their configuration, where many kinds of models stand side by side."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from analysis.tables.series import varying_settings
from analysis.wording import configuration_label, exact_value

ALWAYS_SAID = {"beta": 1.0}
"""Settings that are said of a model wherever they are not so, even if all of its trials have the same."""


def name_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """Add to each trial its `configuration`, an ordered label: trials alike in every setting but the seed.

    Of each model those settings are named in which its trials differ, and the number of latents if any differ in it.
    Models without alpha come first, each by its settings.
    """
    shared = [name for name in ("latent_dim",) if trials[name].nunique() > 1]
    named = []
    for model, own in trials.groupby("model"):
        varying = varying_settings(own, apart_from=["model"])
        said = [n for n, usual in ALWAYS_SAID.items() if n in own and (own[n] != usual).any()]
        names = sorted({*shared, *varying, *said}, key=_rank)
        labels = [_label(row, str(model), names) for row in own[names].to_dict("records")]
        named.append(own.assign(configuration=labels, has_alpha=own["alpha"].notna()).sort_values(names, kind="stable"))
    rows = pd.concat(named).sort_values("has_alpha", kind="stable").drop(columns="has_alpha")
    order = list(dict.fromkeys(rows["configuration"]))
    return rows.assign(configuration=pd.Categorical(rows["configuration"], order, ordered=True))


def _label(row: Mapping[Hashable, Any], model: str, names: list[str]) -> str:
    said = [name for name in names if name not in ALWAYS_SAID or row[name] != ALWAYS_SAID[name]]
    return configuration_label({**row, "model": model}, said, exact_value)


def _rank(name: str) -> tuple[int, str]:
    known = ("alpha", "beta", "latent_dim")
    return (known.index(name) if name in known else len(known), name)
