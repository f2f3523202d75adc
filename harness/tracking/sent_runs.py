"""How much of each trial MLflow has, and the times that it is told."""

import math
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger.result import Result, Row
from harness.storage import sqlite

if TYPE_CHECKING:
    from mlflow.entities import Run

LOSS = "train/loss"  # of every epoch, and called so in MLflow, too


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
    last_loss: float | None  # of the epochs that were sent
    configuration: str | None  # the tag by which runs are grouped

    def is_of(self, result: Result) -> bool:
        """Whether what was sent is of the same training: a trial whose states were lost is trained anew elsewhere."""
        rows = result.history[: self.last_epoch]
        if len(rows) < self.last_epoch:
            return result.status == "running"  # which tells its stored epochs again
        known = next((row[LOSS] for row in reversed(rows) if row.get(LOSS) is not None), None)
        return known is None or self.last_loss is None or math.isclose(known, self.last_loss)

    def list_lacking(self, result: Result) -> list[Row]:
        """List the epochs of a trial that MLflow lacks."""
        return [row for row in result.history if int(row["epoch"] or 0) > self.last_epoch]

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
        last_loss=run.data.metrics.get(LOSS),
        configuration=run.data.tags.get("configuration"),
    )


def list_sent_runs(database: Path, experiment_id: str) -> list[SentRun]:
    """List what MLflow's database has of the trials of an experiment, oldest first: one query instead of thousands."""
    tag = "(SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid AND tags.key = '{}')"
    metric = "(SELECT value FROM latest_metrics m WHERE m.run_uuid = runs.run_uuid AND m.key = '{}')"
    query = f"""
        SELECT {tag.format("spikeslab.trial_id")}, run_uuid, artifact_uri, {tag.format("mlflow.parentRunId")}, status,
            {tag.format("spikeslab.complete")}, EXISTS (SELECT 1 FROM params WHERE params.run_uuid = runs.run_uuid),
            {metric.format("epoch")}, {metric.format(LOSS)}, {tag.format("configuration")}
        FROM runs
        WHERE experiment_id = ? AND lifecycle_stage = 'active' AND {tag.format("spikeslab.kind")} = 'trial'
        ORDER BY start_time, run_uuid
    """  # noqa: S608 (only our own words are put together)
    with closing(sqlite.connect(database, read_only=True)) as connection:
        rows = connection.execute(query, (int(experiment_id),)).fetchall()
    return [
        SentRun(trial_id, run_id, uri, parent_id, status, complete, bool(has_params), int(epoch or 0), loss, name)
        for trial_id, run_id, uri, parent_id, status, complete, has_params, epoch, loss, name in rows
    ]


def time_epochs(result: Result) -> dict[int, int | None]:
    """When each epoch was trained, as if without evaluation or pause; empty for results that older versions stored."""
    if result.began is None:
        return {}
    began, end = result.began, time.time() if result.ended is None else result.ended
    spent = accumulate(float(row.get("seconds") or 0) for row in result.history)
    epochs = (int(row["epoch"] or 0) for row in result.history)
    return {epoch: as_milliseconds(min(began + seconds, end)) for epoch, seconds in zip(epochs, spent, strict=True)}


def as_milliseconds(seconds: float | None) -> int | None:
    """A time as MLflow has it; None, which is now to MLflow, of results that older versions stored."""
    return None if seconds is None else round(1000 * seconds)
