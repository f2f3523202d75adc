"""Results in a bucket, by the command line: the same numbers as in a folder, from whatever machine, whatever fails."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from harness.storage.objects import Objects
from tests.e2e.conftest import Spikeslab, start_command
from tests.s3 import SERVER, request

NOT_NUMBERS = ["mlflow_run_id", "train_seconds", "peak_memory_mb"]


@pytest.fixture
def server(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, which can be frozen."""
    quiet = subprocess.DEVNULL
    words = [sys.executable, "-c", SERVER, "127.0.0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("listens on"))
        endpoint = "http://{}:{}".format(*line.split()[2:])
        request(endpoint, address.split("/")[2], "PUT")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


@pytest.fixture
def machine(spikeslab: Spikeslab, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command on a machine, by its number, which has no files of the others."""

    def run(number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return spikeslab(*arguments, XDG_CACHE_HOME=str(tmp_path / f"machine-{number}"), timeout=400, **aws)

    return run


Machine = Callable[..., subprocess.CompletedProcess[str]]


def read_tables(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def count_results(address: str) -> int:
    return sum("/result-" in listed.key for listed in Objects(address, 5.0, 5.0).list())


def test_a_bucket_that_is_not_there_is_one_sentence_and_status_2(machine: Machine, address: str) -> None:
    began = time.monotonic()
    done = machine(1, "run", "tiny.yaml", "--results", "s3://no-such-bucket/results")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: s3://no-such-bucket/results: there is no such bucket; make it, or correct --results\n"
    )
    assert time.monotonic() - began < 30  # ten, on a machine with nothing else to do


@pytest.mark.slow
def test_a_study_in_a_bucket_is_what_it_is_in_a_folder(machine: Machine, address: str, tmp_path: Path) -> None:
    options = ("--set", "evaluate=[elbo, sparsity, exhibits]", "--set", "checkpoint_every=1")
    local = machine(1, "run", "tiny.yaml", "--results", "local", *options)
    assert (local.returncode, local.stderr) == (0, "")
    there = machine(1, "run", "tiny.yaml", "--results", address, *options)
    assert (there.returncode, there.stderr) == (0, "")
    assert f"Results: {address}/tiny" in there.stdout
    ranked = [out.stdout.partition("configuration")[2].partition("\nResults:")[0] for out in (local, there)]
    assert ranked[0].partition("\nFigures:")[0] == ranked[1] != ""
    name = next(path.name for path in (tmp_path / "machine-1/spikeslab/results").iterdir())
    tables = tmp_path / "machine-1/spikeslab/results" / name / "tiny"
    for table in ("trials", "history"):
        one, other = (pd.read_parquet(folder / f"{table}.parquet") for folder in (tmp_path / "local/tiny", tables))
        timed = [column for column in (*NOT_NUMBERS, "seconds") if column in one]
        pd.testing.assert_frame_equal(one.drop(columns=timed), other.drop(columns=timed), check_exact=True)

    # Another machine, which has nothing but the address
    assert "finished       8" in machine(2, "status", "tiny", "--results", address).stdout
    assert ["tiny", "8", "8", "0", "0", "0"] in [
        line.split() for line in machine(2, "status", "--results", address).stdout.splitlines()
    ]
    assert "Nothing is left to train" in machine(2, "plan", "tiny", "--results", address).stdout
    exported = [machine(2, "export", "tiny", "--results", where).stdout for where in (address, "local")]
    pd.testing.assert_frame_equal(*map(read_tables, exported), check_exact=True)
    drawn = machine(3, "plot", "tiny", "--results", address)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "elbo_by_latent_dim.png" in drawn.stdout
    reported = machine(4, "report", "--results", address, "--out", "report")
    assert (reported.returncode, reported.stderr) == (0, "")
    collected = machine(5, "collect", "tiny", "--results", address)
    assert (collected.returncode, collected.stderr) == (0, "")
    assert "0 trials sent to MLflow, 0 restored from it; tables of 8 trials" in collected.stdout
    assert "finished       8" in machine(6, "status", "tiny", "--results", address).stdout
    again = machine(6, "run", "tiny", "--results", address)
    assert "8 of 8 trials done (nothing to train)" in again.stdout
    for word in ("AKIANAME", "a-secret-key"):
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def start_in(address: str, folder: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return start_command(folder, environment | aws, "run", "tiny.yaml", "--results", address, *options)


def wait_for_results(address: str, count: int, process: subprocess.Popen[str]) -> None:
    while count_results(address) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.3)


@pytest.mark.slow
def test_another_machine_goes_on_where_one_was_killed(
    machine: Machine, address: str, folder: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "epochs=60", "--set", "evaluate=[elbo]")
    process = start_in(address, folder, environment, *options)
    wait_for_results(address, 2, process)
    process.kill()
    process.communicate()
    count = count_results(address)
    status = machine(2, "status", "tiny", "--results", address)
    assert f"finished       {count}" in status.stdout, status.stderr
    resumed = machine(2, "run", "tiny.yaml", "--results", address, *options)
    assert resumed.returncode == 0, resumed.stderr
    assert f"8 of 8 trials done ({8 - count} trained or measured now)" in resumed.stdout
    local = machine(2, "run", "tiny.yaml", "--results", "local", *options)
    assert local.returncode == 0
    exported = [machine(3, "export", "tiny", "--results", where).stdout for where in (address, "local")]
    pd.testing.assert_frame_equal(*map(read_tables, exported), check_exact=True)


@pytest.mark.slow
def test_a_study_outlasts_a_bucket_that_is_away(
    machine: Machine, address: str, server: subprocess.Popen[str], folder: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "epochs=100", "--set", "evaluate=[elbo]")
    process = start_in(address, folder, environment, *options)
    wait_for_results(address, 1, process)
    server.send_signal(signal.SIGSTOP)
    time.sleep(40)  # longer than the lease lasts
    assert process.poll() is None
    server.send_signal(signal.SIGCONT)
    told, said = process.communicate(timeout=400)
    assert (process.returncode, said) == (0, ""), told
    assert "8 of 8 trials done (8 trained or measured now)" in told
    assert machine(2, "run", "tiny.yaml", "--results", "local", *options).returncode == 0
    exported = [machine(3, "export", "tiny", "--results", where).stdout for where in (address, "local")]
    pd.testing.assert_frame_equal(*map(read_tables, exported), check_exact=True)
