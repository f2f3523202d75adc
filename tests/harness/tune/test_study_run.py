"""The driver's record of a running study: what it makes of the events of trials, without Ray."""

import errno
import io
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from harness.datasets import load_dataset
from harness.errors import InputError
from harness.ledger.packed_history import PackedHistory
from harness.ledger.result import Ended, Epoch, Paused, Result
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import ListSource, plan_trials
from harness.search.open_trials import describe_stopping
from harness.search.source import make_trial
from harness.storage.place import Folder
from harness.tune.study_run import TABLE_SHARE, StudyRun
from tests.harness.search.searching import ONE_SPACE
from tests.harness.small_studies import GOOD, load


class SilentTracker:
    """Sends nothing."""

    run_ids: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, *_: object, **__: object) -> None:
        self.news: list[Result] = []

    def update(self, trial: Trial, result: Result) -> None:
        self.news.append(result)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyRun:
    monkeypatch.setattr("harness.tune.study_run.Tracker", SilentTracker)
    study, dataset, folder = load(tmp_path, GOOD), load_dataset("digits"), tmp_path / "results" / "demo"
    source = ListSource(study, plan_trials(study, dataset), folder)
    return StudyRun(study, source, folder, dataset, Console(file=io.StringIO()), place=Folder(folder.parent))


def start(run: StudyRun) -> Trial:
    trial = run.source.next()
    assert trial is not None
    run.begin(trial)
    return trial


def make_row(epoch: int, **metrics: float) -> dict[str, Any]:
    return {"epoch": epoch, "step": epoch, "test/loss": 100.0 / epoch, "seconds": 0.1, **metrics}


def make_end(epochs: int, **changes: Any) -> Ended:
    history = [make_row(epoch) for epoch in range(1, epochs + 1)]
    return Ended(Result(**{"status": "finished", "history": history, "metrics": {"test/elbo": -90.0}} | changes))


def test_a_trial_ends_with_the_result_that_its_end_carries_whatever_lies_on_the_drivers_disk(run: StudyRun) -> None:
    trial, end = start(run), make_end(2)
    run.record(trial, Epoch(make_row(1)))
    assert run.collect_results()[trial.trial_id] == Result(status="running", history=[make_row(1)])
    run.record(trial, end)
    run.end(trial)
    assert not TrialFolder(run.folder, trial).path.exists()
    assert run.collect_results() == {trial.trial_id: end.result}
    assert isinstance(run.collect_results()[trial.trial_id].history, PackedHistory)  # there may be thousands
    assert (run.num_trained, run.num_epochs) == (1, 2)


def test_what_waits_for_mlflow_is_packed_once_its_trial_has_ended(run: StudyRun) -> None:
    before, *others = run.source.trials
    TrialFolder(run.folder, before).write_result(make_end(2).result)
    run.read_stored_results()
    run.source.trials = others
    trial = start(run)
    run.record(trial, make_end(2))
    run.end(trial)
    assert isinstance(run.tracker, SilentTracker)
    assert [type(result.history) for result in run.tracker.news] == [PackedHistory] * 2


def test_a_trial_that_diverged_counts_the_epochs_it_yielded(run: StudyRun) -> None:
    trial = start(run)
    run.record(trial, Epoch(make_row(1)))
    run.record(trial, make_end(1, status="diverged", metrics={}, error="the loss stopped being finite"))
    run.end(trial)
    assert run.num_epochs == 1
    assert trial not in run.list_open()


def test_a_trial_stopped_by_the_scheduler_keeps_its_epochs(run: StudyRun) -> None:
    trial = start(run)
    run.record(trial, Epoch(make_row(1)))
    run.end(trial)
    expected = Result(status="stopped", history=[make_row(1)])
    assert run.collect_results()[trial.trial_id] == TrialFolder(run.folder, trial).read_result() == expected


def test_a_trial_stopped_by_the_scheduler_has_what_stopped_it(run: StudyRun) -> None:
    trial = start(run)
    run.record(trial, Epoch(make_row(1)))
    run.end(trial)
    result = TrialFolder(run.folder, trial).read_result()
    assert result is not None
    assert result.stopped_by == describe_stopping(run.study)


def test_a_trial_that_resumes_and_is_stopped_began_when_it_was_first_taken_up(run: StudyRun) -> None:
    trial = run.source.trials[0]
    folder = TrialFolder(run.folder, trial)
    folder.path.mkdir(parents=True)
    folder.note_beginning(1000.5)
    start(run)
    run.record(trial, Epoch(make_row(1)))
    run.end(trial)
    result = run.collect_results()[trial.trial_id]
    assert (result.status, result.began) == ("stopped", 1000.5)


def test_a_trial_that_pauses_is_neither_ended_nor_stored(run: StudyRun) -> None:
    trial = start(run)
    run.record(trial, Paused(make_row(1)))
    run.end(trial)
    assert run.collect_results()[trial.trial_id] == Result(status="running", history=[make_row(1)])
    assert (run.num_trained, run.num_epochs) == (0, 1)
    assert TrialFolder(run.folder, trial).read_result() is None


def test_what_was_measured_before_stays_if_the_process_of_a_trial_that_runs_again_dies(run: StudyRun) -> None:
    trial, before = start(run), make_end(2, evaluated=["elbo"])
    run.record(trial, before)
    run.end(trial)
    run.begin(trial)
    run.record(trial, Epoch(make_row(1)))
    run.begin(trial)  # its process died, and was started again
    run.end(trial, error="its process died: killed")
    result = run.collect_results()[trial.trial_id]
    assert (result.status, result.error) == ("failed", "its process died: killed")
    assert (result.history, result.metrics) == (before.result.history, before.result.metrics)


def test_what_a_process_had_measured_before_it_died_stays_with_the_reason(run: StudyRun) -> None:
    trial, measured = start(run), make_end(2, status="failed", error="MemoryError: ", evaluated=["elbo"]).result
    run.record(trial, Epoch(make_row(1)))
    folder = TrialFolder(run.folder, trial, run.place)
    folder.path.mkdir(parents=True)
    folder.write_result(measured)  # as the process does, which then raises
    run.end(trial, error="out of memory, though nothing was trained beside it")
    result = folder.read_result()
    assert result is not None
    assert (result.metrics, result.history, result.evaluated) == (measured.metrics, measured.history, ["elbo"])
    assert (result.status, result.error) == ("failed", "out of memory, though nothing was trained beside it")


@pytest.mark.parametrize("error", [None, "its process died: killed"])
def test_no_trial_ends_before_it_began_where_the_clock_is_set_back(run: StudyRun, error: str | None) -> None:
    trial, later = start(run), time.time() + 3600
    run.record(trial, make_end(2, began=later))
    run.begin(trial)
    run.record(trial, Epoch(make_row(1)))
    run.end(trial, error=error)
    result = run.collect_results()[trial.trial_id]
    assert (result.began, result.ended) == (later, later)


def test_a_run_that_has_its_study_no_longer_ends_and_writes_no_tables(run: StudyRun) -> None:
    run.end(start(run), error="its process died: killed")
    assert [path.name for path in run.write_tables()] == ["trials.parquet", "history.parquet"]
    written = [path.stat().st_ino for path in sorted(run.folder.glob("*.parquet"))]
    run.find_lost_hold = lambda: "results/demo: it was moved"
    assert run.write_tables() == []
    assert (run.is_stopping, run.problem) == (True, "results/demo: it was moved")
    assert [path.stat().st_ino for path in sorted(run.folder.glob("*.parquet"))] == written


def test_what_a_problem_brings_about_does_not_replace_it(run: StudyRun) -> None:
    trial = start(run)
    run.end_with("results/demo: it was moved")
    error = "OSError: [Errno 28] No space left on device: '/tmp/x'"
    run.record(trial, make_end(1, status="failed", metrics={}, error=error, host="node7"))
    run.end(trial)
    for fault in (InputError("history.db: it is gone"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")):
        with run.noticing_problems():
            raise fault
    assert run.problem == "results/demo: it was moved"


def test_what_was_running_when_the_user_stopped_has_no_result(run: StudyRun) -> None:
    trial = start(run)
    run.record(trial, Epoch(make_row(1)))
    run.request_stop()
    run.end(trial)
    assert run.collect_results()[trial.trial_id].status == "running"
    assert TrialFolder(run.folder, trial).read_result() is None
    paths = run.write_tables()
    assert pd.read_parquet(paths[1]).epoch.tolist() == [1]


def test_an_epoch_takes_as_long_to_record_late_in_a_trial_as_early(run: StudyRun) -> None:
    """Twice the epochs take about twice as long. With fewer, copies of the history would not show."""

    def take_seconds(epochs: int) -> float:
        run.begin(trial)
        events = [Epoch(make_row(epoch)) for epoch in range(1, epochs + 1)]
        started = time.thread_time()
        for event in events:
            run.record(trial, event)
        return time.thread_time() - started

    trial = start(run)
    few, many = (min(take_seconds(epochs) for _ in range(3)) for epochs in (10_000, 20_000))
    assert many < 2.7 * few


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_a_quota_that_is_used_up_ends_the_run_in_words(run: StudyRun, number: int) -> None:
    with run.noticing_problems():
        raise OSError(number, os.strerror(number))
    assert run.problem == f"{run.folder}: {os.strerror(number).lower()}; free some space and run the study again"


def test_a_full_disk_of_another_machine_is_said_to_be_its_own(run: StudyRun) -> None:
    error = "OSError: [Errno 28] No space left on device: '/tmp/x'"
    trial = start(run)
    run.record(trial, make_end(1, status="failed", metrics={}, error=error, host="node7"))
    run.end(trial)
    assert run.problem == f"node7: {error}; free some space there and run the study again"


def test_a_full_disk_that_killed_a_trial_is_not_said_to_be_of_the_machine_that_had_it_before(run: StudyRun) -> None:
    trial = run.source.trials[0]
    TrialFolder(run.folder, trial).write_result(Result(status="finished", host="node7"))
    run.read_stored_results()
    start(run)
    run.end(trial, "its process died: OSError: [Errno 28] No space left on device: '/tmp/x'")
    assert run.problem is not None
    assert run.problem.startswith("its process died: OSError")


def test_a_full_disk_names_the_file_that_could_not_be_written(run: StudyRun) -> None:
    with run.noticing_problems():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")
    assert run.problem == "/tmp/x: no space left on device; free some space and run the study again"


RUNNING = "0/6 trials done, 1 running"  # as a plain log says once, when the first trial begins


def said(run: StudyRun) -> str:
    assert isinstance(run.console.file, io.StringIO)
    return run.console.file.getvalue()


def test_a_trial_that_failed_and_runs_again_says_why(run: StudyRun) -> None:
    trial = run.source.trials[0]
    TrialFolder(run.folder, trial).write_result(Result(status="failed", error="RuntimeError: no luck"))
    run.read_stored_results()
    start(run)
    assert said(run) == f"{trial.label} begins again: it failed before (RuntimeError: no luck)\n{RUNNING}\n"


@pytest.mark.parametrize("num_whole", [0, 1])
def test_a_trial_whose_state_is_damaged_says_where_it_goes_on(run: StudyRun, num_whole: int) -> None:
    trial = run.source.trials[0]
    folder = TrialFolder(run.folder, trial)
    folder.path.mkdir(parents=True)
    for epoch in range(1, num_whole + 2):
        folder.write_checkpoint({"w": torch.zeros(9)}, [make_row(e) for e in range(1, epoch + 1)])
        (folder.path / "result-1.json").touch()  # so that the state before stays
    newest = folder.list_own_states()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    start(run)
    whence = "goes on from epoch 1" if num_whole else "begins again"
    assert said(run).replace("\n", "") == f"{trial.label} {whence}: {newest} is damaged{RUNNING}"


def test_a_trial_that_begins_or_goes_on_as_it_should_says_nothing(run: StudyRun) -> None:
    folder = TrialFolder(run.folder, run.source.trials[0])
    folder.path.mkdir(parents=True)
    folder.write_checkpoint({"w": torch.zeros(9)}, [make_row(1)])
    start(run)
    start(run)
    assert said(run) == f"{RUNNING}\n"


@pytest.mark.parametrize(("phase", "counted"), [("search", [-2.0, -1.5, None]), ("select", [-2.0, -1.5, -1.0])])
def test_no_epoch_is_the_best_once_its_trial_of_the_search_breaks_a_constraint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: Any, counted: list[float | None]
) -> None:
    """Of the time that it has taken so far, in all of its epochs."""
    monkeypatch.setattr("harness.tune.study_run.Tracker", SilentTracker)
    text = ONE_SPACE + "search: {sampler: tpe, num_trials: 1, constraints: [train_seconds <= 0.25]}\n"
    study, dataset, folder = load(tmp_path, text), load_dataset("digits"), tmp_path / "results" / "demo"
    chosen = {"model": "vsc", "latent_dim": 2, "alpha": 0.1}
    trial = replace(make_trial(study, dataset, chosen, seed=0), phase=phase)
    run = StudyRun(
        study,
        ListSource(study, [trial], folder),
        folder,
        dataset,
        Console(file=io.StringIO()),
        place=Folder(folder.parent),
    )
    shown: list[float | None] = []
    monkeypatch.setattr(run.display, "add_epoch", lambda value, **_: shown.append(value))
    run.begin(trial)
    for epoch in (1, 2, 3):
        run.record(trial, Epoch(make_row(epoch, **{"val/elbo": -2.5 + epoch / 2})))
    assert shown == counted


def test_tables_of_a_running_study_open_no_result_twice(run: StudyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(TrialFolder, "read_result", lambda folder: opened.append(folder.path))
    run.write_tables()
    assert opened == []  # all were looked for when the run began
    run.read_stored_results()
    assert len(opened) == len(run.source.trials) >= 1


def test_tables_take_a_small_part_of_the_drivers_time_however_large_they_are(
    run: StudyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    clock = iter([now, now + 3.0])
    monkeypatch.setattr("harness.tune.study_run.time.monotonic", lambda: next(clock))
    run.write_tables()
    assert run._tables_due == pytest.approx(now + 3.0 + 3.0 / TABLE_SHARE)
