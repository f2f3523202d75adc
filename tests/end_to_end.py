"""A study from a laptop to a cluster and back, with all parts real: `python -m tests.end_to_end`.

A head without CPUs, two nodes and the bucket's server are machines of their own, which share nothing but the bucket; on
the head, an MLflow server on PostgreSQL keeps its artifacts there. The study is submitted and followed, a node is lost
in the middle, the follower is ended and another attached; figures and page are made elsewhere. Prints what it measured.
Needs root and PostgreSQL.
"""

import io
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import psutil

from harness.tracking.metric_names import MARK, name_in_mlflow
from tests.harness.cluster.heads import BIN
from tests.real_cluster.cluster import Cluster
from tests.real_cluster.machines import Machine, Network, why_not
from tests.real_cluster.outcome import check_equal, read_files, read_results, run_undisturbed
from tests.real_cluster.services import (
    BUCKET,
    MLFLOW,
    Storage,
    find_postgres,
    make_environment,
    start_storage,
    start_tracking,
    write_variables,
)

STUDY = """\
# Does a study come back whole?
name: distance
dataset: digits
defaults: {hidden: [64], batch_size: 32, epochs: 200}
space:
  - {model: vae, latent_dim: {grid: [2, 4]}}
  - {model: vsc, latent_dim: 4, alpha: {grid: [0.2, 0.5]}}
seeds: [0, 1]
evaluate: [elbo, sparsity]
checkpoint_every: 20
"""
NAME, NUM_TRIALS, NUM_EPOCHS = "distance", 8, 200
RESULTS = f"s3://{BUCKET}/results"


@dataclass
class Watch:
    """Looks, all the while, at the command lines that everybody on this machine can read."""

    hidden: dict[str, str]  # by what they are
    seen: set[str] = field(default_factory=set)
    num_looks: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look meanwhile."""
        ending = threading.Event()

        def look() -> None:
            while not ending.wait(0.2):
                lines = "\n".join(" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
                self.seen |= {f"{name} in ps" for name, secret in self.hidden.items() if secret in lines}
                self.num_looks += 1

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def read(self, where: str, contents: dict[str, bytes]) -> None:
        """Look for secrets in what was written."""
        self.num_looks += len(contents)
        for name, content in contents.items():
            for kind, secret in self.hidden.items():
                if secret.encode() in content:
                    self.seen.add(f"{kind} in {where}, {name}")


class Laptop:
    """A machine of a user's, which is not in the cluster: it has the study, and a tunnel to the head."""

    def __init__(self, network: Network, cluster: Cluster, storage: Storage) -> None:
        self.machine = network.add("laptop")
        self._cluster = cluster
        self.environment = make_environment() | {k: v for k, v in cluster.client.items() if k.startswith("RAY_")}
        self._reads = storage.variables
        self.folder = self.machine.files / "home"
        (self.folder / f"{NAME}.yaml").write_text(STUDY)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command that talks to the cluster."""
        pipe = subprocess.PIPE
        words = [str(BIN / "spikeslab"), *arguments]
        return self.machine.start(
            words, self.environment, through=self._cluster.head, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )

    def read(self, *arguments: str, folder: str) -> str:
        """Run a command on the results, in a new folder, with an empty cache."""
        place = self.machine.files / folder
        place.mkdir()
        shutil.rmtree(self.machine.files / "cache")
        (self.machine.files / "cache").mkdir()
        words = [str(BIN / "spikeslab"), *arguments, "--results", RESULTS]
        return self.machine.run(words, make_environment() | self._reads, self.machine.disk / folder)


def follow_a_lost_node(laptop: Laptop, cluster: Cluster, options: list[str]) -> tuple[str, dict[str, float]]:
    """Submit the study, lose a node in the middle, follow it from a second process; returns its log and the times."""
    lost = cluster.join()
    cluster.join()
    cluster.wait_for_nodes()
    began = time.monotonic()
    first = laptop.start("submit", f"{NAME}.yaml", "--results", RESULTS, "--follow", *options)
    times = {}
    for line in first.stdout or ():
        if re.search(r"\b[1-9]\d*/8 trials done", line):
            times["first trials done"] = time.monotonic() - began
            break
    else:
        raise AssertionError(first.communicate())
    lost.kill()
    first.send_signal(signal.SIGINT)
    told, said = first.communicate(timeout=60)
    assert (first.returncode, said) == (0, ""), (told, said)
    assert f"`spikeslab logs {NAME}-1 --follow` follows it again" in told, told
    second = laptop.start("logs", f"{NAME}-1", "--follow")
    log, said = second.communicate(timeout=900)
    assert (second.returncode, said) == (0, ""), (log, said)
    times["all done"] = time.monotonic() - began
    assert f"{NAME}: {NUM_TRIALS} of {NUM_TRIALS} trials done ({NUM_TRIALS} trained or measured now)" in log, log
    return log, times


def check_mlflow(head: Machine, results: str) -> int:
    """Check that MLflow has one finished run of each trial, and each epoch of each metric once; counts the points."""
    words = [str(BIN / "python"), "-m", "tests.real_cluster.mlflow_runs", MLFLOW, NAME]
    runs = json.loads(head.run(words, make_environment(), Path(__file__).parents[1]))
    files = read_files(results, ".parquet")
    trials, history = (pd.read_parquet(io.BytesIO(files[f"{name}.parquet"])) for name in ("trials", "history"))
    assert sorted(run["trial_id"] for run in runs) == sorted(trials.trial_id)
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert history.groupby("trial_id").epoch.apply(list).map(list(range(1, NUM_EPOCHS + 1)).__eq__).all()
    num_points = 0
    for run in runs:
        rows = history[history.trial_id == run["trial_id"]].set_index("epoch").drop(columns="trial_id")
        wanted = {name_in_mlflow(str(name), at_end=False): rows[name].dropna() for name in rows}
        wanted[MARK] = rows.index.to_series()
        for name, points in run["metrics"].items():
            num_points += len(points)
            if name in wanted:
                assert [tuple(point) for point in points] == list(wanted.pop(name).items()), (run["trial_id"], name)
            else:
                assert len(points) == 1, name  # of the trial as a whole
                assert name.startswith(("final/", "test/")), name
        assert not [name for name, column in wanted.items() if len(column)], wanted
    return num_points


def look_for_secrets(watch: Watch, network: Network, cluster: Cluster) -> None:
    """Look at all that was written on all machines and in the bucket, and at the job's record."""
    allowed = {"server-variables", "job-variables"}
    for machine in network.machines:
        files = [path for path in machine.files.rglob("*") if path.is_file() and path.name not in allowed]
        for path in files:  # one by one, as they are large together
            watch.read(machine.name, {str(path.relative_to(machine.files)): path.read_bytes()})
    watch.read("the bucket", read_files(f"s3://{BUCKET}", ""))
    ask = "from ray.job_submission import JobSubmissionClient as C; print(C('http://127.0.0.1:8265').list_jobs())"
    record = cluster.head.run([str(BIN / "python"), "-c", ask], make_environment() | cluster.client)
    assert f"{NAME}-1" in record
    watch.read("the job's record", {"list_jobs": record.encode()})


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended, it takes its machines along
    lacks = "PostgreSQL" if not find_postgres() else "spikeslab[postgres]" if not find_spec("psycopg") else None
    if (reason := why_not() or (lacks and f"it needs {lacks}")) is not None:
        raise SystemExit(f"Skipped: {reason}.")
    with tempfile.TemporaryDirectory(prefix="spikeslab-e2e-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / f"{NAME}.yaml").write_text(STUDY)
        expected = run_undisturbed(folder, NAME)
        with Network(folder) as network:
            storage = start_storage(network)
            os.environ.update(storage.variables)
            cluster = Cluster(network, storage.variables)
            database = start_tracking(cluster.head, storage)
            password = secrets.token_hex(16)
            variables = {"MLFLOW_TRACKING_URI": MLFLOW, "MLFLOW_TRACKING_USERNAME": "team"}
            path = write_variables(cluster.head, "job-variables", variables | {"MLFLOW_TRACKING_PASSWORD": password})
            hidden = {"the password of MLflow": password, "the password of the database": database}
            hidden |= {"the token of the cluster": (network.folder / "token").read_text()}
            hidden |= {"the key of S3": storage.variables["AWS_SECRET_ACCESS_KEY"]}
            watch = Watch(hidden | {"the name of S3's key": storage.variables["AWS_ACCESS_KEY_ID"]})
            laptop = Laptop(network, cluster, storage)
            with watch.running():
                _, times = follow_a_lost_node(laptop, cluster, ["--env-file", str(path)])
                began = time.monotonic()
                drawn = laptop.read("plot", NAME, folder="elsewhere")
                assert ".png" in drawn, drawn
                laptop.read("report", "--out", "page", folder="again")
                assert list((laptop.machine.files / "again" / "page").rglob("*.html"))
                times["plot and report"] = time.monotonic() - began
            found = read_results(f"{RESULTS}/{NAME}")
            check_equal(found, expected)
            assert len(found[0]) == NUM_TRIALS
            num_points = check_mlflow(cluster.head, f"{RESULTS}/{NAME}")
            look_for_secrets(watch, network, cluster)
            assert not watch.seen, watch.seen
    print(f"Load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.")
    print(f"{NUM_TRIALS} of {NUM_TRIALS} trials, equal to a local run's to the bit, one FINISHED run each; "
          f"{num_points:,} points in MLflow, none missing or doubled; none of {len(hidden) + 1} secrets in "
          f"{watch.num_looks:,} looks at ps, files, the bucket and the job's record.")  # fmt: skip
    print("; ".join(f"{what}: {seconds:.0f} s" for what, seconds in times.items()))


if __name__ == "__main__":
    main()
