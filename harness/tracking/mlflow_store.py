"""One study's runs in an MLflow store: a parent run, and a child run for each trial.

Nothing is queued: the trials' folders hold everything, and `MlflowStore.sync` sends what MLflow lacks of it. What could
not be sent, because the server was down or the driver was killed, is sent by the next run of the study or by
`spikeslab collect`, and nothing is sent twice.
"""

import json
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.ledger.names import MLFLOW_DATABASE, STATE
from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.tracking.experiments import settle_own_experiment, settle_shared_experiment
from harness.tracking.local_store import locate_artifacts, make_database, relocate_artifacts
from harness.tracking.metric_names import FINAL_METRICS, MARK, name_in_mlflow, name_in_tables
from harness.tracking.mlflow_settings import is_own_store, quieten_mlflow, tracking_uri
from harness.tracking.presentation import (
    OF_EXPERIMENT,
    VIEW_TAG,
    Presentation,
    describe_winner,
    make_view,
    name_configuration,
    show_figure,
    tags_of_source,
)
from harness.tracking.sent_runs import LOSS, SentRun, as_milliseconds, describe_run, list_sent_runs, time_epochs
from harness.tracking.winner import log_winner
from harness.tracking.write_ahead import WriteAhead
from models.settings import TrialSettings

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

FINAL = ("finished", "diverged", "failed")  # a stopped trial may store its last state after it was sent
RUN_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
BUSY_SECONDS = 60.0  # how long a database that another program holds is waited for
MAX_BATCH = 1000  # metrics that MLflow accepts in one call

Measured = tuple[str, float, int, int | None]
"""A metric, its value, its epoch, and when that was, in milliseconds since 1970; None: now."""


class MlflowStore:
    """One study's runs in an MLflow store. Every method may raise MLflow's errors."""

    def __init__(self, study: str, results: Path, *, create: bool = True) -> None:
        """create: make the database and the experiment if they are missing.

        Raises:
            InputError: they are missing, and `create` is false.
        """
        quieten_mlflow()
        from mlflow import MlflowClient

        self.study = study
        self.uri = tracking_uri(results)
        self._database: Path | None = None  # of our own store
        self._write_ahead: WriteAhead | None = None
        if is_own_store():
            self._database = database = results / MLFLOW_DATABASE
            self._write_ahead = WriteAhead(database)
            if not create and not database.exists():
                raise InputError(f"{database}: no such database; run a study first, or give --results")
            make_database(database)
            self.client = MlflowClient(tracking_uri=f"{self.uri}?timeout={BUSY_SECONDS:.0f}")
            location = locate_artifacts(results) + study
            self.experiment_id = settle_own_experiment(self.client, study, location, create=create)
            relocate_artifacts(results)
        else:
            self.client = MlflowClient(tracking_uri=self.uri)
            self.experiment_id = settle_shared_experiment(self.client, study, results, create=create)
        self._runs: dict[str, SentRun] = {}
        self.run_ids: dict[str, str] = {}  # of MLflow's run of each trial, by trial_id; another thread may read it
        self.parent_id: str | None = None
        self._is_parent_told = False  # by what this process trains the study

    def open(self, tags: Mapping[str, str] | None = None) -> None:
        """Find the parent run and its children. With tags, make the parent if it is missing, and mark it as running.

        Whoever gives tags ends with `close`. A parent that is there keeps its tags until a trial is sent anew.
        """
        if tags is not None and self._write_ahead is not None:
            self._write_ahead.begin()
        found = self._search("tags.`spikeslab.kind` = 'study'")
        self.parent_id = found[0].info.run_id if found else None
        if tags is not None:
            if self.parent_id is None:
                names = {
                    "mlflow.runName": self.study,
                    "spikeslab.kind": "study",
                    "spikeslab.study": self.study,
                }
                made = self.client.create_run(self.experiment_id, tags={**tags, **names})
                self.parent_id, self._is_parent_told = made.info.run_id, True
            else:
                self.client.update_run(self.parent_id, status="RUNNING")
        for sent in self._list_sent():
            self._note(sent)
            if tags is not None and sent.parent_id != self.parent_id:  # it was deleted
                self.client.set_tag(sent.run_id, "mlflow.parentRunId", self.parent_id)

    def _list_sent(self) -> list[SentRun]:
        """List what MLflow has of the study's trials; of two runs of one trial, the older first."""
        if self._database is not None:  # MLflow itself reads every metric of every run for this
            return list_sent_runs(self._database, self.experiment_id)
        return [describe_run(run) for run in self._search("tags.`spikeslab.kind` = 'trial'")]

    def _note(self, run: SentRun) -> None:
        self._runs.setdefault(run.trial_id, run)
        self.run_ids.setdefault(run.trial_id, run.run_id)

    def sync(self, trial: Trial, result: Result, folder: TrialFolder, tags: Mapping[str, str]) -> bool:
        """Send what MLflow lacks of a trial; returns whether it lacked anything. A second call sends nothing.

        The run of a training that was done anew is deleted: a trial has one.
        """
        run = self._runs.get(trial.trial_id)
        if run is not None and not run.is_of(result):
            self.client.delete_run(run.run_id)
            del self._runs[run.trial_id], self.run_ids[run.trial_id]
            run = None
        if run is not None and run.configuration != (name := name_configuration(trial)):  # of an earlier version
            self.client.set_tag(run.run_id, "configuration", name)
            run.configuration = name
        ended_as = f"{result.status}: {' '.join(result.evaluated)}"
        if run is not None and result.status in FINAL and run.has_all_of(ended_as, RUN_STATUS[result.status]):
            return False
        states = [path.name for path in folder.list_own_states()[:1]]  # of a stopped trial it may be stored late
        complete = f"{result.status}: {' '.join([*result.evaluated, *states])}"
        has_ended = result.status != "running"
        params: dict[str, str] = {}
        if run is None:
            run = self._create_run(trial, tags, result.began)
        elif has_ended and run.complete == complete and run.status == RUN_STATUS[result.status]:
            return False
        elif not has_ended and run.status != "RUNNING":
            self.client.update_run(run.run_id, status="RUNNING")
            run.status = "RUNNING"
        has_new = bool(run.list_lacking(result))
        if has_new or not run.has_params:
            self._tell_parent(tags)
        if not run.has_params:  # the run is new, or an earlier process died while making it
            params = _as_params(trial)
        if not has_ended:
            self._log_rows(run, result, params=params)
            return has_new
        final = dict(result.metrics) | {"train_seconds": result.train_seconds}
        if result.peak_memory_mb is not None:
            final["peak_memory_mb"] = result.peak_memory_mb
        ended = {"status": result.status, "evaluated": " ".join(result.evaluated)}
        ended |= {key: value for key in ("error", "device", "host", "stopped_by") if (value := getattr(result, key))}
        artifacts = [
            path for path in (*folder.list_own_states()[:1], folder.log, *folder.arrays.values()) if path.exists()
        ]
        if artifacts:
            self._store_artifacts(run, artifacts)
        self.client.set_terminated(run.run_id, RUN_STATUS[result.status], as_milliseconds(result.ended))
        # MLflow stores the tags of a batch after all else of it: this one says that nothing is missing.
        ended["spikeslab.complete"] = complete
        # Of two values of one epoch MLflow shows that of the later time: those that are measured anew are of now.
        at_end = as_milliseconds(result.ended if run.complete is None else None)
        measured = [(k, v, result.epochs_trained, at_end) for k, v in final.items()]
        self._log_rows(run, result, measured, params, ended)
        run.complete, run.status = complete, RUN_STATUS[result.status]
        return True

    def _tell_parent(self, tags: Mapping[str, str]) -> None:
        """Say in the parent run, once, by what its trials are trained: whoever trains nothing leaves it as it is."""
        if not self._is_parent_told:
            assert self.parent_id is not None
            self._log(self.parent_id, tags=tags)
            self._is_parent_told = True

    def _store_artifacts(self, run: SentRun, paths: Iterable[Path]) -> None:
        """Store files in a trial's run. MLflow's client would ask for the run before each, and keep threads for it."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.client.tracking_uri)
        for path in paths:
            repository.log_artifact(str(path))

    def attach(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Store files in the parent run."""
        assert self.parent_id is not None
        for path in paths:
            self.client.log_artifact(self.parent_id, str(path), folder)

    def present(self, shown: Presentation) -> None:
        """Say on the pages of the experiment and of the parent run what the study found; set the view of its trials.

        The winner, where there is one, is logged as a model.
        """
        assert self.parent_id is not None
        description = shown.description
        stored = (
            {item.path for item in self.client.list_artifacts(self.parent_id, "figures")} if shown.figure else set()
        )
        if f"figures/{shown.figure}" in stored:
            description += f"\n\n{show_figure(shown.figure, self.parent_id)}"
        if shown.winner is not None:
            run_id = self.run_ids.get(shown.winner.trial.trial_id)
            address = log_winner(self.client, self.experiment_id, self.parent_id, run_id, shown.winner)
            description += f"\n\n{describe_winner(address)}"
        for name, value in ((OF_EXPERIMENT, description), (VIEW_TAG, make_view(shown))):
            self.client.set_experiment_tag(self.experiment_id, name, value)
        best = [(name, value, 0, None) for name, value in shown.best.items()]
        about = {f"study.{name}": value for name, value in shown.about.items()}  # tags, as a study may change
        self._log(self.parent_id, metrics=best, tags={OF_EXPERIMENT: description, **about, **tags_of_source()})

    def close(self, status: str, interrupted: Iterable[str] = ()) -> None:
        """End the parent run, and mark the runs of interrupted trials as killed."""
        for trial_id in interrupted:
            if (run := self._runs.get(trial_id)) is not None:
                self.client.set_terminated(run.run_id, "KILLED")
        assert self.parent_id is not None
        self.client.set_terminated(self.parent_id, status)
        if self._write_ahead is not None:
            self._write_ahead.end()

    def read_trials(self, *, known: Collection[str] = ()) -> list[tuple[Trial, Result]]:
        """Read every trial of the study that has ended from MLflow.

        known: trial_ids of those whose epochs are left out, as each metric of each trial takes a request.
        """
        trials = []
        for run in self._search("tags.`spikeslab.kind` = 'trial'"):
            tags, params = run.data.tags, run.data.params
            if "spikeslab.complete" not in tags:
                continue
            given = {k: _parse_param(v) for k, v in params.items() if k not in ("dataset", "dataset_hash")}
            try:
                settings = TrialSettings.from_dict(given)
            except ValueError:  # of a version in which they were legal
                continue
            trial = Trial(
                settings,
                params["dataset"],
                params["dataset_hash"],
                population=tags.get("spikeslab.population", ""),
                plugins=tuple(tags.get("spikeslab.plugins", "").split()),
                phase=tags.get("spikeslab.phase", "search"),
            )
            if trial.trial_id != tags["spikeslab.trial_id"]:  # of another version of the training semantics
                continue
            named = ((name_in_tables(sent), value) for sent, value in run.data.metrics.items())
            at_end = {name: value for (name, is_final), value in named if is_final}
            result = Result(
                status=tags["status"],
                history=[] if trial.trial_id in known else self._read_history(run),
                metrics={name: at_end[name] for name in sorted(FINAL_METRICS & set(at_end))},
                evaluated=tags["evaluated"].split(),
                error=tags.get("error"),
                peak_memory_mb=at_end.get("peak_memory_mb"),
                device=tags.get("device"),
                host=tags.get("host"),
                stopped_by=tags.get("stopped_by"),
                began=run.info.start_time / 1000,
                ended=run.info.end_time / 1000 if run.info.end_time else None,
            )
            trials.append((trial, result))
        return trials

    def download_checkpoint(self, trial_id: str, folder: TrialFolder) -> list[Path]:
        """Restore a trial's checkpoint and arrays to its folder, if MLflow has them; returns their paths."""
        from mlflow.artifacts import download_artifacts

        run_id = self._runs[trial_id].run_id
        places = {file.name: file.parent for file in folder.arrays.values()}
        restored = []
        for item in self.client.list_artifacts(run_id):
            place = places.get(item.path, folder.path)
            if place != folder.path or STATE.fullmatch(item.path):
                place.mkdir(parents=True, exist_ok=True)
                download_artifacts(run_id=run_id, artifact_path=item.path, dst_path=str(place), tracking_uri=self.uri)
                restored.append(place / item.path)
        return restored

    def download_parent_file(self, name: str, folder: Path) -> None:
        """Download a file of the parent run to a folder, if the run has it."""
        from mlflow.artifacts import download_artifacts

        if self.parent_id is not None and name in {item.path for item in self.client.list_artifacts(self.parent_id)}:
            download_artifacts(run_id=self.parent_id, artifact_path=name, dst_path=str(folder), tracking_uri=self.uri)

    def _read_history(self, run: "Run") -> list[Row]:
        rows: dict[int, Row] = {}
        for sent in run.data.metrics:
            name, is_final = name_in_tables(sent)
            if is_final or name == MARK:
                continue
            for point in self.client.get_metric_history(run.info.run_id, sent):
                rows.setdefault(point.step, {"epoch": point.step})[name] = point.value
        return [rows[epoch] for epoch in sorted(rows)]

    def _search(self, filter_string: str) -> "list[Run]":
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], filter_string, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return sorted(runs, key=lambda run: run.info.start_time)

    def _create_run(self, trial: Trial, tags: Mapping[str, str], began: float | None) -> SentRun:
        names = {
            "mlflow.runName": trial.label,
            "mlflow.parentRunId": self.parent_id,
            "spikeslab.kind": "trial",
            "spikeslab.study": self.study,
            "spikeslab.trial_id": trial.trial_id,
            "spikeslab.phase": trial.phase,
            "spikeslab.population": trial.population,
            "spikeslab.plugins": " ".join(trial.plugins),
            "dataset.sha256": trial.dataset_hash,
            "configuration": name_configuration(trial),
            **tags_of_source(),
        }
        own = {name: value for name, value in tags.items() if not name.startswith("version.")}  # the parent has them
        run = describe_run(self.client.create_run(self.experiment_id, as_milliseconds(began), {**own, **names}))
        self.client.log_inputs(run.run_id, datasets=[_as_input(trial)])
        self._note(run)
        return run

    def _log_rows(
        self,
        run: SentRun,
        result: Result,
        final: Iterable[Measured] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log whole epochs, each with a metric `epoch`, from which a later process knows how many were sent.

        Uses as few calls as MLflow's limits allow: each takes several milliseconds.
        """
        rows, times = run.list_lacking(result), time_epochs(result)
        batch = [(name_in_mlflow(name, at_end=True), value, step, at) for name, value, step, at in final]
        for row in rows:
            epoch = int(row["epoch"] or 0)
            if len(batch) + len(row) > MAX_BATCH:
                self._log(run.run_id, metrics=batch)
                batch = []
            named = ((name_in_mlflow(name, at_end=False), value) for name, value in row.items())
            batch += [(name, float(value), epoch, times.get(epoch)) for name, value in named if value is not None]
        self._log(run.run_id, metrics=batch, params=params, tags=tags)
        run.has_params = run.has_params or bool(params)
        if rows:
            run.last_epoch = int(rows[-1]["epoch"] or 0)
            run.last_loss = next((row[LOSS] for row in reversed(rows) if row.get(LOSS) is not None), run.last_loss)

    def _log(
        self,
        run_id: str,
        *,
        metrics: Iterable[Measured] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now if at is None else at, step) for name, value, step, at in metrics],
            params=[Param(name, value) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
        )


def _as_input(trial: Trial) -> "DatasetInput":
    """The dataset of a trial, as MLflow notes what a run was given; `mlflow.data.get_source` reads this type."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"tags": {"name": trial.dataset, "sha256": trial.dataset_hash}})
    dataset = Dataset(trial.dataset, trial.dataset_hash[:36], "code", source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _as_params(trial: Trial) -> dict[str, str]:
    params = {k: v if isinstance(v, str) else json.dumps(v) for k, v in trial.settings.to_dict().items()}
    return {**params, "dataset": trial.dataset, "dataset_hash": trial.dataset_hash}


def _parse_param(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
