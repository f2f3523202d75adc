"""A run whose head is gone ends with a sentence, its tables, and no run of MLflow that seems to go on."""

import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import psutil
import pytest

from harness.tune import head_guard
from harness.tune.head_guard import HeadGuard
from tests.e2e.conftest import STUDY, command, start_command
from tests.harness.cluster.heads import Head, wait_until


@pytest.mark.parametrize(
    ("answering", "leaves", "is_lost"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_a_run_is_concluded_elsewhere_only_if_its_main_thread_does_not_leave(
    answering: bool, leaves: bool, is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(head_guard.ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(head_guard, "answers", lambda _: answering)
    for name, seconds in (("LOOK_SECONDS", 0.01), ("LOST_SECONDS", 0.05), ("LEAVE_SECONDS", 0.1)):
        monkeypatch.setattr(head_guard, name, seconds)
    run: Any = SimpleNamespace(problem=None)
    run.end_with = lambda problem: setattr(run, "problem", problem)
    lost = threading.Event()
    with HeadGuard(run, lost.set):
        deadline = time.monotonic() + (0.2 if answering else 5)
        while time.monotonic() < deadline and not (run.problem and leaves) and not lost.is_set():
            time.sleep(0.01)
    assert lost.wait(0.2) == is_lost
    assert (run.problem is None) == answering
    assert answering or "10.0.0.1:6379: the head of the cluster has not answered for" in run.problem


@pytest.mark.slow
def test_without_its_head_a_run_ends_in_order_and_goes_on_with_another(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    options = ("--set", "figures=[]", "--set", "evaluate=[]", "--set", "checkpoint_every=1", "--set")
    with Head() as head:
        words = ("run", "tiny.yaml", "--address", head.address, *options, "epochs=4000")
        process = start_command(tmp_path, head.client, *words)
        wait_until(lambda: bool(list(tmp_path.glob("results/tiny/trials/*/*.safetensors"))), 120, process)
        (gcs,) = (p for p in psutil.Process(head.process.pid).children(recursive=True) if "gcs_server" in p.name())
        gcs.kill()
        began = time.monotonic()
        told, said = process.communicate(timeout=60)
    print(f"the run ended {time.monotonic() - began:.0f} s after its head")
    assert (process.returncode, said.count("\n")) == (2, 1), said + told
    assert said.startswith(f"error: {head.address}: the head of the cluster has not answered for 25 s; what was")
    before = pd.read_parquet(tmp_path / "results/tiny/history.parquet")
    assert len(before)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'results/mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "tiny")
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"KILLED"}
    reached = int(before.epoch.max())
    with Head() as head:
        words = command("run", "tiny.yaml", "--address", head.address, *options, f"epochs={reached + 1}")
        again = subprocess.run(
            words, cwd=tmp_path, env=head.client, capture_output=True, text=True, timeout=300, check=False
        )
    assert (again.returncode, again.stderr) == (0, ""), again.stdout
    after = pd.read_parquet(tmp_path / "results/tiny/history.parquet")
    both = before.merge(after, on=["trial_id", "epoch"], suffixes=("", "_after"))
    assert after.groupby("trial_id").epoch.apply(list).map(lambda epochs: epochs == list(range(1, reached + 2))).all()
    assert (both["seconds"] == both["seconds_after"]).all(), "nothing was trained twice"
