"""Which trials have several results: one id, trained more than once, on machines that round differently."""

from collections.abc import Mapping
from itertools import permutations

import pandas as pd

from analysis.tables.tables import Tables

LEADING = ("test/elbo", "test/loss")  # the metric by which results are told apart for a reader, if they have one


def find_conflicts(tables: Mapping[str, Tables]) -> pd.DataFrame:
    """A row for each trial, study and metric in which finished trials of one id differ between studies.

    Columns: trial_id, metric, study, value, and model, alpha, latent_dim, epochs, seed of the trial. Only metrics that
    two of the studies have measured are compared; a metric of which all agree has no row.
    """
    ids = ["trial_id", "model", "alpha", "latent_dim", "epochs", "seed"]
    frames = []
    for study, one in tables.items():
        finished = one.trials[one.trials["status"] == "finished"]
        metrics = [str(name) for name in finished if "/" in str(name)]
        long = finished.melt(id_vars=ids, value_vars=metrics, var_name="metric").dropna(subset=["value"])
        frames.append(long.assign(study=study))
    if not frames:
        return pd.DataFrame(columns=[*ids, "metric", "study", "value"])
    rows = pd.concat(frames, ignore_index=True)
    num_values = rows.groupby(["trial_id", "metric"])["value"].transform("nunique")
    return rows[num_values > 1].sort_values(["trial_id", "metric", "study"], ignore_index=True)


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
        results = zip(rows["study"].tolist(), rows["value"].tolist(), strict=True)
        for (study, value), (other, other_value) in permutations(results, 2):
            if value != other_value:
                most = found.setdefault(study, {})
                most[other] = max(most.get(other, 0.0), abs(value - other_value))
    return found
