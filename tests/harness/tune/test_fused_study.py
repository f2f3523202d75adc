"""Fused studies under Ray Tune: every configuration is a trial of its own, and only the clock tells the difference."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import ray

from harness.commands.outcome import Outcome
from harness.datasets import load_dataset
from harness.ledger.result import Event
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.study import Study
from harness.study.file import dump_study
from harness.tracking.mlflow_store import MlflowStore
from harness.tune.study_run import StudyRun
from tests.e2e.conftest import command
from tests.harness.cluster.heads import Head, wait_until
from tests.harness.training import read, train_here

Run = Callable[..., tuple[Outcome, str]]

EIGHT_AT_ONCE = {"cpu": 0.25}  # on the two cores of the tests' cluster
A_PAIR = [{"model": "vae", "latent_dim": 2}, {"model": "vsc", "latent_dim": 3, "alpha": 0.1}]


def make_study(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "name": "small",
        "dataset": "digits",
        "defaults": {"hidden": [16], "batch_size": 128, "epochs": 4, "learning_rate": {"grid": [1e-3, 1e-2]}},
        "space": [
            {"model": "vae", "latent_dim": {"grid": [2, 4]}},
            {"model": "vsc", "latent_dim": {"grid": [3, 8]}, "alpha": {"grid": [0.1, 0.5]}},
        ],
        "iw_samples": 5,
        "resources": EIGHT_AT_ONCE,
    }
    return Study.model_validate(content | changes)


def list_engines(parent: int | None = None) -> list[psutil.Process]:
    """Those of this process's cluster, or of the one that another process started: other tests may run beside."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("EngineActor" in part for part in process.cmdline()):
                found.append(process)
    return found


def test_the_table_is_that_of_the_same_study_without_fusing(run: Run, tmp_path: Path) -> None:
    outcome, _ = run(make_study(resources={"cpu": 0.5}))
    assert (outcome.num_done, outcome.num_trained) == (12, 12)
    train_here(make_study(), tmp_path / "alone")
    (trials, history), (alone, alone_history) = (read(tmp_path / where / "small") for where in ("results", "alone"))
    assert list(trials.trial_id) == list(alone.trial_id)
    numbers = [name for name in trials if "/" in name]
    assert {"test/elbo", "test/iw_bound", "code/hoyer", "code/active_units"} <= set(numbers)
    pd.testing.assert_frame_equal(trials[numbers], alone[numbers], check_exact=True)
    both = history.merge(alone_history, on=["trial_id", "epoch"], suffixes=("", "_alone"))
    assert len(both) == len(history) == len(alone_history) == 48
    assert (both["train/loss"] == both["train/loss_alone"]).all()

    store = MlflowStore("small", tmp_path / "results", create=False)
    runs = store._search("tags.`spikeslab.kind` = 'trial'")
    assert {r.data.tags["spikeslab.trial_id"] for r in runs} == set(trials.trial_id)
    assert {r.info.status for r in runs} == {"FINISHED"}
    planned = plan_trials(make_study(), load_dataset("digits"))
    assert all(TrialFolder(tmp_path / "results" / "small", trial).list_own_states() for trial in planned)


def test_no_engine_is_left_behind(run: Run) -> None:
    run(make_study(space=[{"model": "vae", "latent_dim": 2}]))
    deadline = time.monotonic() + 10
    while list_engines() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list_engines() == []
    assert not [a for a in ray.util.list_named_actors(all_namespaces=True) if a["namespace"].startswith("spikeslab-")]


def test_asha_stops_single_members(run: Run, tmp_path: Path) -> None:
    """In whatever order members report: ASHA compares a trial with those that reported before it.

    The last trial reports when at least four have, and at most one of these is as bad as it is.
    """
    study = make_study(
        defaults={"hidden": [16], "batch_size": 128, "epochs": 9, "learning_rate": {"grid": [1e-2, 3e-3, 1e-3, 1e-6]}},
        space=[{"model": "vae", "latent_dim": {"grid": [2, 4]}}],
        scheduler={"name": "asha", "grace_epochs": 1, "reduction_factor": 3},
        resources={"cpu": 0.5},
    )
    outcome, _ = run(study)
    trials, history = read(tmp_path / "results" / "small")
    assert outcome.num_done == 8
    assert set(trials.status) == {"finished", "stopped"}
    assert trials.status.iloc[-1] == "stopped"
    stopped = trials[trials.status == "stopped"]
    assert (trials[trials.status == "finished"].epochs_trained == 9).all()
    assert history.groupby("trial_id").epoch.apply(lambda e: list(e) == list(range(1, len(e) + 1))).all()
    assert set(stopped.epochs_trained) <= {1, 3}
    reached = history.pivot(index="trial_id", columns="epoch", values=study.metric)
    best = {reached[epoch].idxmax() for epoch in (1, 3)}
    assert not best & set(stopped.trial_id)


def test_what_was_trained_when_the_user_stopped_is_stored(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = StudyRun.record

    def stop_once_all_have_reported(self: StudyRun, trial: Trial, event: Event) -> None:
        record(self, trial, event)
        if len(results := self.collect_results()) == len(A_PAIR) and all(result.history for result in results.values()):
            self.request_stop()

    monkeypatch.setattr(StudyRun, "record", stop_once_all_have_reported)
    defaults = {"hidden": [64], "batch_size": 16, "epochs": 4000, "learning_rate": 1e-3}
    study = make_study(space=A_PAIR, defaults=defaults, checkpoint_every=4000)  # none of the checkpoints is due
    outcome, _ = run(study)
    assert outcome.interrupted
    trials, _ = read(tmp_path / "results" / "small")
    trained = dict(zip(trials.trial_id, trials.epochs_trained, strict=True))
    for trial in plan_trials(study, load_dataset("digits")):
        stored = TrialFolder(tmp_path / "results" / "small", trial).count_stored_epochs()
        assert stored >= trained[trial.trial_id] > 0


@pytest.mark.timeout(120)
def test_a_killed_engine_loses_nothing_that_a_checkpoint_held(run: Run, tmp_path: Path) -> None:
    defaults = {"hidden": [64], "batch_size": 16, "epochs": 40, "learning_rate": 1e-3}
    study = make_study(space=A_PAIR, defaults=defaults, checkpoint_every=1)
    folder = tmp_path / "results" / "small"
    planned = plan_trials(study, load_dataset("digits"))
    stored: dict[str, int] = {}

    def kill() -> None:
        while len(stored) < len(A_PAIR):
            time.sleep(0.05)
            for trial in planned:
                if (count := TrialFolder(folder, trial).count_stored_epochs()) > 2:
                    stored[trial.trial_id] = count
        (engine,) = list_engines()
        os.kill(engine.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    outcome, _ = run(study)
    thread.join()
    assert (outcome.num_done, outcome.num_failed) == (len(A_PAIR), 0)
    trials, history = read(folder)
    assert history.groupby("trial_id").epoch.apply(list).tolist() == [list(range(1, 41))] * len(A_PAIR)
    for trial in planned:
        log = TrialFolder(folder, trial).log.read_text()
        resumed = [int(line.rpartition(" ")[2]) for line in log.splitlines() if "resumed from its checkpoint" in line]
        assert resumed
        assert resumed[0] >= stored[trial.trial_id]

    train_here(study, tmp_path / "uninterrupted")
    expected, _ = read(tmp_path / "uninterrupted" / "small")
    numbers = [name for name in trials if "/" in name]
    pd.testing.assert_frame_equal(trials[numbers], expected[numbers], check_exact=True)


@pytest.mark.slow
def test_an_engine_of_a_driver_that_was_killed_stores_its_trials_and_ends(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(dump_study(make_study(name="long", defaults={"epochs": 5000}, evaluate=[])))
    with Head() as head:
        words = command("run", "long.yaml", "--address", head.address)
        with subprocess.Popen(words, cwd=tmp_path, env=head.client, stdout=subprocess.PIPE) as driver:
            wait_until(lambda: bool(list_engines(head.process.pid)), 90, driver)
            time.sleep(10)
            driver.kill()
        began = time.monotonic()
        while list_engines(head.process.pid):
            assert time.monotonic() - began < 20
            time.sleep(0.1)
    print(f"an engine ended {time.monotonic() - began:.1f} s after its driver was killed")
    states = list(tmp_path.glob("results/long/trials/*/*.safetensors"))
    assert states
