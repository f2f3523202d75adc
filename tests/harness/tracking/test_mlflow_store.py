from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ledger.result import Result, Row, Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.tracking.mlflow_store import Measured, MlflowStore
from harness.tracking.sent_runs import describe_run
from models.settings import TrialSettings

TRIAL = Trial(TrialSettings(model="vae", latent_dim=2, learning_rate=1e-3, batch_size=32, epochs=2), "digits", "hash")
ROWS: list[Row] = [{"epoch": 1, "train/loss": 30.0, "seconds": 0.1}, {"epoch": 2, "train/loss": 29.0, "seconds": 0.1}]
RUNNING, STOPPED = Result(status="running", history=ROWS), Result(status="stopped", history=ROWS)


def send(results: Path, *news: Result) -> bool:
    """What a process that runs the study sends; returns whether MLflow lacked any of the last news."""
    store = MlflowStore("small", results)
    store.open({})
    return [store.sync(TRIAL, result, TrialFolder(results / "small", TRIAL), {}) for result in news][-1]


def status_of_the_run(results: Path) -> str:
    [run] = MlflowStore("small", results)._search("tags.`spikeslab.kind` = 'trial'")
    return str(run.info.status)


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_run_whose_process_was_killed_while_ending_it_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", die)
        with pytest.raises(KeyboardInterrupt):
            send(tmp_path, RUNNING, STOPPED)
    assert status_of_the_run(tmp_path) == "RUNNING"
    assert send(tmp_path, STOPPED)
    assert status_of_the_run(tmp_path) == "FINISHED"
    assert not send(tmp_path, STOPPED)


def test_a_trial_that_runs_again_and_ends_as_it_had_ended_has_a_run_that_has_ended(tmp_path: Path) -> None:
    send(tmp_path, STOPPED)
    send(tmp_path, RUNNING)
    assert status_of_the_run(tmp_path) == "RUNNING"
    send(tmp_path, STOPPED)
    assert status_of_the_run(tmp_path) == "FINISHED"


@pytest.mark.parametrize("status", ["running", "finished"])
@pytest.mark.parametrize("num_epochs", [1, 2])
def test_a_training_that_was_done_anew_takes_the_place_of_the_one_before(
    tmp_path: Path, status: Status, num_epochs: int
) -> None:
    send(tmp_path, replace(STOPPED, status="finished"))
    anew = [row | {"train/loss": 28.0} for row in ROWS]
    later = replace(STOPPED, status="finished", history=anew[:num_epochs], metrics={"test/elbo": -28.0})
    send(tmp_path, replace(later, status=status), later)
    store = MlflowStore("small", tmp_path)
    [(_, result)] = store.read_trials()
    assert [row["train/loss"] for row in result.history] == [28.0] * num_epochs
    assert result.metrics == {"test/elbo": -28.0}
    assert not send(tmp_path, later)


def test_a_training_that_goes_on_keeps_its_run_whatever_it_took(tmp_path: Path) -> None:
    send(tmp_path, STOPPED)
    before = MlflowStore("small", tmp_path)._list_sent()[0].run_id
    slower = [row | {"seconds": 9.0} for row in ROWS]
    third: Row = {"epoch": 3, "train/loss": 28.0, "seconds": 0.1}
    send(tmp_path, *(replace(RUNNING, history=rows) for rows in (slower[:1], slower, [*slower, third])))
    [sent] = MlflowStore("small", tmp_path)._list_sent()
    assert (sent.run_id, sent.last_epoch) == (before, 3)


def test_our_one_query_finds_what_mlflow_finds(tmp_path: Path) -> None:
    send(tmp_path, RUNNING)
    store = MlflowStore("small", tmp_path)
    running = [describe_run(run) for run in store._search("tags.`spikeslab.kind` = 'trial'")]
    assert store._list_sent() == running
    assert (running[0].status, running[0].complete, running[0].last_epoch) == ("RUNNING", None, 2)
    send(tmp_path, STOPPED)
    ended = [describe_run(run) for run in store._search("tags.`spikeslab.kind` = 'trial'")]
    assert store._list_sent() == ended
    assert ended[0].complete == "stopped: "
    assert ended[0].has_params
    store.client.delete_run(ended[0].run_id)
    assert store._list_sent() == []


def test_what_ended_for_good_is_known_to_be_sent_without_a_look_at_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = replace(STOPPED, status="finished", evaluated=["elbo"])
    send(tmp_path, finished)
    monkeypatch.setattr(TrialFolder, "list_own_states", die)
    assert not send(tmp_path, finished)
    with pytest.raises(KeyboardInterrupt):
        send(tmp_path, replace(finished, evaluated=["elbo", "sparsity"]))


def test_a_run_lasts_as_long_as_its_trial_did_whenever_it_is_sent(tmp_path: Path) -> None:
    ended = replace(STOPPED, began=1_700_000_000.25, ended=1_700_000_123.5, stopped_by='{"name": "asha"}')
    send(tmp_path, ended)
    store = MlflowStore("small", tmp_path)
    [run] = store._search("tags.`spikeslab.kind` = 'trial'")
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_250, 1_700_000_123_500)
    [(_, result)] = store.read_trials()
    found = (result.began, result.ended, result.stopped_by)  # so that another store gets them, too
    assert found == (ended.began, ended.ended, ended.stopped_by)


def test_epochs_that_are_sent_at_once_have_the_times_of_their_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or MLflow's axes of time would say when they were sent. No call holds more metrics than MLflow accepts."""
    monkeypatch.setattr("harness.tracking.mlflow_store.MAX_BATCH", 8)
    log, sizes = MlflowStore._log, list[int]()

    def watch(store: MlflowStore, run_id: str, *, metrics: Sequence[Measured] = (), **others: Any) -> None:
        sizes.append(len(metrics))
        log(store, run_id, metrics=metrics, **others)

    monkeypatch.setattr(MlflowStore, "_log", watch)
    rows: list[Row] = [{"epoch": n, "train/loss": 30.0 - n, "seconds": 50.0} for n in (1, 2, 3)]
    ended = replace(STOPPED, history=rows, metrics={"test/elbo": -9.0}, began=1_700_000_000.25, ended=1_700_000_123.5)
    send(tmp_path, ended)
    store = MlflowStore("small", tmp_path)
    run_id = store._list_sent()[0].run_id

    def times(metric: str) -> list[int]:
        return [point.timestamp for point in store.client.get_metric_history(run_id, metric)]

    expected = [1_700_000_050_250, 1_700_000_100_250, 1_700_000_123_500]  # not after its end
    assert times("train/loss") == times("train/seconds") == expected
    assert times("test/elbo") == expected[-1:]
    assert sizes == [8, 3]  # two of the end, and three an epoch


def test_what_is_measured_anew_is_shown_whatever_the_clock_of_its_machine_said(tmp_path: Path) -> None:
    ended = replace(STOPPED, status="finished", began=1_700_000_000.0, ended=1_700_000_123.5)
    send(tmp_path, replace(ended, metrics={"test/elbo": -9.0}, evaluated=["elbo"]))
    again = replace(ended, ended=1_700_000_100.0, metrics={"test/elbo": -9.5}, evaluated=["elbo", "sparsity"])
    assert send(tmp_path, again)
    assert not send(tmp_path, again)
    [(_, result)] = MlflowStore("small", tmp_path).read_trials()
    assert result.metrics == {"test/elbo": -9.5}


def test_a_run_of_an_earlier_version_is_grouped_with_new_ones_and_not_sent_again(tmp_path: Path) -> None:
    finished = replace(STOPPED, status="finished")
    send(tmp_path, finished)
    store = MlflowStore("small", tmp_path)
    [before] = store._list_sent()
    store.client.set_tag(before.run_id, "configuration", "vae learning rate 0.001 (4a0d39)")
    assert not send(tmp_path, finished)
    assert store._list_sent() == [before]


def test_a_database_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow makes its tables one by one; a process killed meanwhile left a database that none could open again."""
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.search_experiments", die)
        with pytest.raises(KeyboardInterrupt):
            MlflowStore("small", tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
    MlflowStore("small", tmp_path)
    store = MlflowStore("small", tmp_path, create=False)
    assert [e.name for e in store.client.search_experiments()] == ["small", "Default"]
    assert {p.name for p in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.lock"}


def test_versions_of_the_parent_run_are_those_that_trained_last_not_those_that_looked_last(tmp_path: Path) -> None:
    other = replace(TRIAL, dataset_hash="other")
    further: list[Row] = [*ROWS, {"epoch": 3, "train/loss": 28.0, "seconds": 0.1}]

    def run(version: str, *trials: Trial, result: Result = STOPPED) -> str:
        store, tags = MlflowStore("small", tmp_path), {"version.torch": version, "git.commit": version}
        store.open(tags)
        for trial in trials:
            store.sync(trial, result, TrialFolder(tmp_path / "small", trial), tags)
        store.close("FINISHED")
        assert store.parent_id is not None
        told = store.client.get_run(store.parent_id).data.tags
        assert told["version.torch"] == told["git.commit"]
        return told["git.commit"]

    assert run("A", TRIAL) == "A"
    assert run("B", TRIAL) == "A"
    assert run("C", TRIAL, other) == "C"
    assert run("D", TRIAL, result=replace(RUNNING, history=further)) == "D"
