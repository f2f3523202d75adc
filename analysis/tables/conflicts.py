"""Which trials have several results: one id and one way to measure, trained more than once, as on several machines."""

from collections.abc import Hashable, Mapping
from itertools import combinations, permutations
from typing import Any

import pandas as pd

from analysis.tables.tables import Tables

LEADING = ("test/elbo", "test/loss")  # the metric by which results are told apart for a reader, if they have one


def find_conflicts(tables: Mapping[str, Tables]) -> pd.DataFrame:
    """A row for each trial, study and metric in which finished trials of one id differ between studies.

    Columns: trial_id, metric, study, value, evaluated, and model, alpha, latent_dim, epochs, seed of the trial. Only
    metrics that two of the studies have measured, and alike, are compared; a metric of which all agree has no row.
    """
    ids = ["trial_id", "model", "alpha", "latent_dim", "epochs", "seed"]
    columns = [*ids, "evaluated", "metric", "study", "value"]
    frames = []
    for study, one in tables.items():
        finished = one.trials[one.trials["status"] == "finished"]
        metrics = [str(name) for name in finished if "/" in str(name)]
        finished = finished.reindex(columns=[*ids, "evaluated", *metrics])
        long = finished.melt(id_vars=[*ids, "evaluated"], var_name="metric").dropna(subset=["value"])
        frames.append(long.assign(study=study).astype({"evaluated": object}))
    if not frames:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(frames, ignore_index=True)
    groups = rows.groupby(["trial_id", "metric"])["value"]
    rows = rows[groups.transform("nunique") > 1].sort_values(["trial_id", "metric", "study"], ignore_index=True)
    conflicting = {
        result["place"]
        for _, own in rows.assign(place=rows.index).groupby(["trial_id", "metric"])
        for pair in combinations(own.to_dict("records"), 2)
        if are_in_conflict(*pair)
        for result in pair
    }
    return rows.loc[sorted(conflicting), columns].reset_index(drop=True)


def are_in_conflict(one: Mapping[Hashable, Any], other: Mapping[Hashable, Any]) -> bool:
    """Whether two results of one trial and metric differ, though both are measured alike, as far as both tables say.

    An evaluation by another number of samples or another version (`iw_bound@50v3`) is another measure. Which metrics
    are of it is not known here, so that trials are compared that agree in every evaluation that both have.
    """
    texts = (one["evaluated"], other["evaluated"])
    entries = [str(text).split("; ") if pd.notna(text) else [] for text in texts]
    first, second = (dict(entry.partition("@")[::2] for entry in own) for own in entries)
    return one["value"] != other["value"] and all(first[name] == second[name] for name in first.keys() & second.keys())


def leading_results(conflicts: pd.DataFrame) -> pd.DataFrame:
    """Of each trial the metric to show: the first of LEADING that differs, else the first by name.

    conflicts: as `find_conflicts` returns them; so are the columns.
    """
    ranks = {metric: rank for rank, metric in enumerate(LEADING)}
    order = conflicts.assign(rank=conflicts["metric"].map(ranks).fillna(len(ranks)))
    shown = order.sort_values(["rank", "metric"], kind="stable").drop_duplicates("trial_id")[["trial_id", "metric"]]
    return conflicts.merge(shown, on=["trial_id", "metric"])


def pairs_of_studies(conflicts: pd.DataFrame) -> dict[str, dict[str, float]]:
    """For each study, the studies that have other results of its trials, and by how much the shown metric differs."""
    found: dict[str, dict[str, float]] = {}
    for _, rows in leading_results(conflicts).groupby("trial_id"):
        for one, other in permutations(rows.to_dict("records"), 2):
            if are_in_conflict(one, other):
                most, study = found.setdefault(one["study"], {}), other["study"]
                most[study] = max(most.get(study, 0.0), abs(one["value"] - other["value"]))
    return found
