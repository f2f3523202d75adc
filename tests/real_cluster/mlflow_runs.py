"""Prints the runs of a study's trials, as JSON: `python -m tests.real_cluster.mlflow_runs URI STUDY`.

A program of its own, as the server answers on its own machine alone.
"""

import json
import sys
from typing import Any

from mlflow import MlflowClient


def read_runs(uri: str, study: str) -> list[dict[str, Any]]:
    """Each run's trial, status, tags, and the points of each metric, (step, value), in the order that MLflow has."""
    client = MlflowClient(uri)
    (experiment,) = (found for found in client.search_experiments() if found.name == study)
    runs = client.search_runs([experiment.experiment_id], "tags.`spikeslab.kind` = 'trial'", max_results=1000)
    return [
        {
            "trial_id": run.data.tags["spikeslab.trial_id"],
            "status": run.info.status,
            "metrics": {
                name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        }
        for run in runs
    ]


if __name__ == "__main__":
    print(json.dumps(read_runs(*sys.argv[1:])))
