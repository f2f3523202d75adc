"""How much of each trial MLflow has."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.storage import sqlite

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass
class SentRun:
    """What MLflow has of one trial."""

    trial_id: str
    run_id: str
    artifact_uri: str
    parent_id: str | None
    status: str
    complete: str | None  # says that all is there of a trial that ended so, with these evaluations and states
    has_params: bool
    last_epoch: int

    def has_all_of(self, ended_as: str, status: str) -> bool:
        """Whether nothing is missing of a trial whose last state is stored by the time that its end is known."""
        return self.status == status and (self.complete == ended_as or (self.complete or "").startswith(f"{ended_as} "))


def describe_run(run: "Run") -> SentRun:
    """What MLflow has of a trial, by its run."""
    return SentRun(
        trial_id=run.data.tags["spikeslab.trial_id"],
        run_id=run.info.run_id,
        artifact_uri=run.info.artifact_uri,
        parent_id=run.data.tags.get("mlflow.parentRunId"),
        status=run.info.status,
        complete=run.data.tags.get("spikeslab.complete"),
        has_params=bool(run.data.params),
        last_epoch=int(run.data.metrics.get("epoch", 0)),
    )


def list_sent_runs(database: Path, experiment_id: str) -> list[SentRun]:
    """List what MLflow's database has of the trials of an experiment, oldest first: one query instead of thousands."""
    tag = "(SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid AND tags.key = '{}')"
    query = f"""
        SELECT {tag.format("spikeslab.trial_id")}, run_uuid, artifact_uri, {tag.format("mlflow.parentRunId")}, status,
            {tag.format("spikeslab.complete")}, EXISTS (SELECT 1 FROM params WHERE params.run_uuid = runs.run_uuid),
            (SELECT value FROM latest_metrics m WHERE m.run_uuid = runs.run_uuid AND m.key = 'epoch')
        FROM runs
        WHERE experiment_id = ? AND lifecycle_stage = 'active' AND {tag.format("spikeslab.kind")} = 'trial'
        ORDER BY start_time, run_uuid
    """  # noqa: S608 (only our own words are put together)
    with closing(sqlite.connect(database, read_only=True)) as connection:
        rows = connection.execute(query, (int(experiment_id),)).fetchall()
    return [
        SentRun(trial_id, run_id, uri, parent_id, status, complete, bool(has_params), int(epoch or 0))
        for trial_id, run_id, uri, parent_id, status, complete, has_params, epoch in rows
    ]
