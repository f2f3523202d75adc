"""Studies as jobs of a cluster: what is shipped, what is refused, and a real job from its start to its end."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import ray

from harness.cluster import jobs as module
from harness.cluster.jobs import Job, Jobs
from harness.cluster.shipping import pack
from harness.cluster.variables import read_variables
from harness.commands.jobs import submit_study
from harness.datasets import load_dataset
from harness.errors import InputError
from harness.ledger import provenance
from harness.ledger.provenance import CODE_FOLDER, SHIPPED_FROM, describe_checkout
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.source import Plugin
from harness.search.grid_and_random import plan_trials
from harness.storage.place import Folder
from harness.study.file import load_study
from tests.e2e.conftest import STUDY, command
from tests.harness.cluster.heads import Head
from tests.harness.training import train_here

JOB = Job("tiny-1", "tiny", "/results", "RUNNING", 1.0, None, None, "")


def test_code_study_and_plugins_are_shipped_and_nothing_else(tmp_path: Path) -> None:
    pack(tmp_path, "tiny", STUDY, (Plugin("mine", (("mine/__init__.py", b"x = 1\n"),), "mine"),))
    assert (tmp_path / "tiny.yaml").read_text() == STUDY
    assert (tmp_path / "mine/__init__.py").read_bytes() == b"x = 1\n"
    names = {"harness", "models", "analysis", "mine", "tiny.yaml", SHIPPED_FROM}
    assert {path.name for path in tmp_path.iterdir()} == names
    for package in ("harness", "models", "analysis"):
        ours = {path.relative_to(CODE_FOLDER) for path in (CODE_FOLDER / package).rglob("*.py")}
        assert {path.relative_to(tmp_path) for path in (tmp_path / package).rglob("*.py")} == ours
    assert list(tmp_path.glob("analysis/reported/*.csv"))
    assert not list(tmp_path.rglob("__pycache__"))


def test_shipped_code_knows_the_commit_that_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe_checkout()
    pack(tmp_path, "tiny", STUDY, ())
    monkeypatch.setattr(provenance, "CODE_FOLDER", tmp_path)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "harness/ledger/provenance.py"))
    assert describe_checkout() == before
    (tmp_path / SHIPPED_FROM).write_text("[]")
    assert describe_checkout() == {"git.commit": "not a git checkout"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"results": Folder(Path("results"))},
            r"--results results: .*give an absolute path, as every node of the cluster sees it",
        ),
        (
            {"results": Folder(Path("/r")), "data": Path("data")},
            r"--data data: .*give an absolute path, as the head of the cluster",
        ),
        (
            {"results": Folder(Path("/r")), "address": "head:8265"},
            r"--address head:8265: no address of a dashboard; write it as http",
        ),
        (
            {"results": Folder(Path("/r")), "address": "http://127.0.0.1:1"},
            r"--address http://127.0.0.1:1: no Ray dashboard answers",
        ),
    ],
    ids=["results", "data", "no URL", "nothing there"],
)
def test_what_cannot_be_submitted_is_one_sentence(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    study = load_study(tmp_path / "tiny.yaml")
    with pytest.raises(InputError, match=said):
        submit_study(study, STUDY, **{"address": "http://127.0.0.1:1"} | options)


def test_a_study_that_runs_is_not_submitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = object.__new__(Jobs)
    monkeypatch.setattr(Jobs, "list", lambda _: [JOB])
    with pytest.raises(InputError, match="tiny runs already as tiny-1, into /results; see it with `spikeslab logs"):
        jobs.submit("tiny", "/results", Path(), [])
    with pytest.raises(InputError, match="tiny-2: no such job; the cluster's latest are tiny-1, and `spikeslab jobs`"):
        jobs.find("tiny-2")


@pytest.mark.parametrize(
    ("names", "next_name"), [((), "q-1"), (("q-2", "q-3"), "q-4"), (("q-9", "q-10", "q-mine"), "q-11")]
)
def test_a_job_has_a_number_that_none_before_it_has(
    names: tuple[str, ...], next_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = object.__new__(Jobs)
    jobs._client = SimpleNamespace(submit_job=lambda **_: None)
    jobs.address = "http://127.0.0.1:1"
    listed = [Job(name, "q", "/results", "SUCCEEDED", None, None, 0, "") for name in names]
    monkeypatch.setattr(Jobs, "list", lambda _: [*listed, Job("other-50", "other", "/r", "FAILED", None, None, 1, "")])
    assert jobs.submit("q", "/results", Path(), []) == next_name


def test_following_outlasts_a_short_loss_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = object.__new__(Jobs)
    log, asked = "", 0

    def find(_: Jobs, name: str) -> Job:
        nonlocal log, asked
        asked += 1
        log = "abcdef"[: 2 * asked]
        if asked == 2:
            raise InputError("a blip")
        return Job(name, "", "", "RUNNING" if asked < 4 else "SUCCEEDED", None, None, 0, "")

    monkeypatch.setattr(Jobs, "find", find)
    monkeypatch.setattr(Jobs, "read_log", lambda *_: log)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    assert list(jobs.follow("tiny-1")) == ["ab", "cdef"]
    asked = 1
    monkeypatch.setattr(module, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(InputError, match="a blip; if tiny-1 has ended with its head, submit the study again"):
        list(jobs.follow("tiny-1"))


def test_a_long_log_is_read_anew_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, now, slept = object.__new__(Jobs), 0.0, list[float]()
    log = ""

    def read(*_: object) -> str:
        nonlocal log, now
        log += "x"
        now += [0.01, 0.1, 0.2, 5.0, 0.01, 0.0][len(log) - 1]
        return log

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    def find(_: Jobs, name: str) -> Job:
        return Job(name, "", "", "RUNNING" if len(log) < 5 else "SUCCEEDED", None, None, 0, "")

    monkeypatch.setattr(Jobs, "find", find)
    monkeypatch.setattr(Jobs, "read_log", read)
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", sleep)
    assert list(jobs.follow("tiny-1")) == ["x"] * 6
    assert slept == pytest.approx([1, 2, 4, 30, 1])


@pytest.mark.parametrize(
    ("log", "progress"),
    [
        ("Running entrypoint\n", ""),
        ("0/4 trials done, starting Ray ...\n3/4 trials done, 2 running, 1 failed, 1 diverged, 24.1 epochs/s\n",
         "3/4 trials done, 2 running, 1 failed, 1 diverged"),
        ("3/4 trials done\ntiny: 4 of 4 trials done (4 trained), in 15 s.\nFigures: x", "4 of 4 trials done"),
        ("Stopped: 0 of 4 trials are done. Submitting it again resumes.", "0 of 4 trials are done"),
    ],
)  # fmt: skip
def test_progress_is_what_the_study_said_last(log: str, progress: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "read_log", lambda *_: log)
    assert object.__new__(Jobs).describe_progress(JOB) == progress


def test_variables_come_from_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    path.write_text("# of the server\nMLFLOW_TRACKING_PASSWORD=a=b c\n\nX=\n")
    with pytest.raises(InputError, match=r"others on the machine can read it; run `chmod 600"):
        read_variables(path)
    path.chmod(0o600)
    assert read_variables(path) == {"MLFLOW_TRACKING_PASSWORD": "a=b c", "X": ""}
    path.write_text("X=1\nexport y\n")
    with pytest.raises(InputError, match=r"line 2 is not NAME=value") as caught:
        read_variables(path)
    assert "export y" not in str(caught.value)
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_variables(tmp_path / "gone")


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with Head() as head:
        yield head


Cluster = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def spikeslab(head: Head, tmp_path: Path) -> Cluster:
    """Run a command about the cluster as from another machine, whose files the cluster does not need."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = command(*arguments, "--address", head.dashboard)
        return subprocess.run(
            words, cwd=tmp_path, env=head.client, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.mark.slow
def test_a_job_comes_to_what_a_local_run_comes_to(head: Head, spikeslab: Cluster, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    secret, results = head.folder / "secrets", tmp_path / "shared"
    secret.touch(mode=0o600)
    secret.write_text("SPIKESLAB_TEST=pa55word")
    arguments = ("submit", "tiny.yaml", "--results", str(results), "--set", "epochs=2", "--env-file", str(secret))
    submitted = spikeslab(*arguments)
    assert (submitted.returncode, submitted.stderr) == (0, "")
    assert submitted.stdout.startswith("Submitted as tiny-1: ")
    again = spikeslab(*arguments)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert again.stderr.startswith("error: tiny runs already as tiny-1")
    followed = spikeslab("logs", "tiny-1", "--follow")
    assert followed.returncode == 0, followed.stdout
    assert "tiny: 8 of 8 trials done (8 trained or measured now)" in followed.stdout
    assert followed.stdout.splitlines() == spikeslab("logs", "tiny-1").stdout.splitlines()
    assert "8 of 8 trials done" in spikeslab("jobs").stdout

    trials = pd.read_parquet(results / "tiny" / "trials.parquet").set_index("trial_id")
    study = load_study(tmp_path / "tiny.yaml", ["epochs=2"])
    train_here(study, tmp_path / "local")
    planned = plan_trials(study, load_dataset("digits"))
    assert len(planned) == len(trials) == 8
    for trial in planned:
        alone = TrialFolder(tmp_path / "local" / "tiny", trial).read_result()
        assert alone is not None
        assert alone.metrics
        assert {name: trials.loc[trial.trial_id, name] for name in alone.metrics} == alone.metrics
    entries = json.loads((results / "tiny" / "provenance.json").read_text())
    assert [entry["git.commit"] for entry in entries] == [describe_checkout()["git.commit"]]
    logs = [path for path in (head.folder / "ray").rglob("*") if path.is_file() and path.stat().st_size < 10**8]
    assert len(logs) > 20
    assert not [path for path in (*logs, *results.rglob("*.json")) if b"pa55word" in path.read_bytes()]


@pytest.mark.slow
def test_a_job_that_is_stopped_stores_everything_and_is_resumed(spikeslab: Cluster, tmp_path: Path) -> None:
    import mlflow

    (tmp_path / "long.yaml").write_text(STUDY.replace("tiny", "long").replace("epochs: 3", "epochs: 2000"))
    results = tmp_path / "shared"
    arguments = ("submit", "long.yaml", "--results", str(results), "--set", "evaluate=[elbo]", "--set", "seeds=[0]")
    assert spikeslab(*arguments).returncode == 0
    deadline = time.monotonic() + 60
    while "running" not in spikeslab("logs", "long-1").stdout:
        assert time.monotonic() < deadline
    time.sleep(8)
    stopped = spikeslab("stop", "long-1")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert "long-1: stopped, 0 of 4 trials are done" in stopped.stdout
    logged = spikeslab("logs", "long-1")
    assert logged.returncode == 128 + 15
    assert "Traceback" not in logged.stdout
    assert "***" not in logged.stdout  # of a C++ stack trace
    history = pd.read_parquet(results / "long" / "history.parquet")
    reached = history.groupby("trial_id").epoch.max()
    assert len(reached)
    assert (reached > 0).all()
    client = mlflow.MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "long")
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"KILLED"}
    assert spikeslab("stop", "long-1").stdout == "long-1 has ended already (stopped).\n"

    assert spikeslab(*arguments, "--set", f"epochs={reached.max() + 1}", "--follow").returncode == 0
    after = pd.read_parquet(results / "long" / "history.parquet")
    merged = history.merge(after, on=["trial_id", "epoch"], how="inner", suffixes=("", "_after"))
    assert after.groupby("trial_id").epoch.apply(list).map(lambda e: e == list(range(1, len(e) + 1))).all()
    assert (merged["seconds"] == merged["seconds_after"]).all()


def test_a_tunnel_from_this_machine_passes_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Version(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"version": "4", "ray_version": ray.__version__}).encode())

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nothing listens
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "")  # put back afterwards
    with ThreadingHTTPServer(("127.0.0.1", 0), Version) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Jobs(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1,localhost"
