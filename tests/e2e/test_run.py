import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from harness.ledger.trial_folder import _read_history as read_history
from harness.tracking.mlflow_store import MlflowStore
from tests.e2e.conftest import Spikeslab, command, start_command

QUICK = ("--set", "resources.cpu=2", "--set", "figures=[]")
"""One process at a time on the tests' cluster of two cores, and nothing to draw: seconds less."""


def test_run_trains_draws_and_does_nothing_twice(spikeslab: Spikeslab, folder: Path, ray_cluster: str) -> None:
    first = spikeslab("run", "tiny.yaml", "--address", ray_cluster)
    assert first.returncode == 0, first.stderr
    assert "8 of 8 trials done (8 trained or measured now)" in first.stdout
    assert "Traceback" not in first.stdout + first.stderr
    assert first.stderr == ""
    results = folder / "results" / "tiny"
    assert len(pd.read_parquet(results / "trials.parquet")) == 8
    figures = {p.name for p in (results / "figures").iterdir()}
    names = ["elbo_by_latent_dim", "relaxed_elbo_by_latent_dim", "rate_distortion", "convergence"]
    names += ["sparsity_by_alpha", "collapse_by_latent_dim"]
    assert figures == {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")}
    assert (results / "study.yaml").read_text() == (folder / "tiny.yaml").read_text()

    started = time.monotonic()
    second = spikeslab("run", "tiny.yaml")
    assert second.returncode == 0
    assert "8 of 8 trials done (nothing to train)" in second.stdout
    assert time.monotonic() - started < 20


def test_run_reports_failed_trials_by_its_exit_status_and_overrides_change_the_study(
    spikeslab: Spikeslab, folder: Path, ray_cluster: str
) -> None:
    text = (folder / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(text.replace("epochs: 3", "epochs: 3, learning_rate: {grid: [1e-3, 1e18]}"))
    changes = ("--set", "epochs=2", "--set", "seeds=[7]")
    done = spikeslab("run", "tiny.yaml", *changes, *QUICK, RAY_ADDRESS=ray_cluster)
    assert done.returncode == 1
    assert "\n4 trials diverged: see `spikeslab status tiny`" in done.stdout
    status = spikeslab("status", "tiny")  # as it says; the file has other seeds
    assert "diverged" in status.stdout
    assert "log.txt" in status.stdout
    trials = pd.read_parquet(folder / "results" / "tiny" / "trials.parquet")
    assert set(trials.epochs) == {2}
    assert set(trials.seed) == {7}


@pytest.mark.parametrize("is_given", [True, False], ids=["--address", "RAY_ADDRESS"])
def test_a_cluster_that_is_not_there_is_one_sentence(spikeslab: Spikeslab, folder: Path, is_given: bool) -> None:
    nowhere = "127.0.0.1:1"
    if is_given:
        done = spikeslab("run", "tiny.yaml", "--address", nowhere)
        assert done.stderr.startswith(f"error: --address {nowhere}: no Ray cluster answers there")
    else:
        done = spikeslab("run", "tiny.yaml", RAY_ADDRESS=nowhere)
        assert done.stderr.startswith(f"error: RAY_ADDRESS={nowhere}: no Ray cluster answers there")
        assert "or unset RAY_ADDRESS to use this machine" in done.stderr
    assert done.returncode == 2
    assert not (folder / "results").exists(), "nothing is written for a study that cannot run"
    assert done.stderr.count("\n") == 1


def wait_for_results(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.glob("results/tiny/trials/*/result-*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_kill_9_nothing_is_lost_or_done_twice(
    folder: Path, environment: dict[str, str], spikeslab: Spikeslab
) -> None:
    (folder / "tiny.yaml").write_text((folder / "tiny.yaml").read_text().replace("epochs: 3", "epochs: 40"))
    options = ("--set", "figures=[]", "--set", "evaluate=[elbo]")
    process = start_command(folder, environment, "run", "tiny.yaml", *options)
    wait_for_results(folder, 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    ended = {p: p.stat().st_mtime_ns for p in folder.glob("results/tiny/trials/*/result-*.json")}
    assert 2 <= len(ended) < 8

    done = spikeslab("run", "tiny.yaml", *options)
    assert done.returncode == 0, done.stderr
    assert f"({8 - len(ended)} trained or measured now)" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in ended} == ended
    trials = pd.read_parquet(folder / "results/tiny/trials.parquet")
    history = pd.read_parquet(folder / "results/tiny/history.parquet")
    assert trials.trial_id.is_unique
    assert len(trials) == len(list(folder.glob("results/tiny/trials/*/result-40.json"))) == 8
    assert history.groupby("trial_id").epoch.apply(list).tolist() == [list(range(1, 41))] * 8

    store = MlflowStore("tiny", folder / "results", create=False)
    runs = store._search("tags.`spikeslab.kind` = 'trial'")
    assert sorted(r.data.tags["spikeslab.trial_id"] for r in runs) == sorted(trials.trial_id)
    for run in runs:
        assert run.info.status == "FINISHED"
        points = store.client.get_metric_history(run.info.run_id, "train/loss")
        assert [p.step for p in points] == list(range(1, 41))


@pytest.mark.slow
@pytest.mark.parametrize("share", ["1", "0.25"])  # in processes of their own, and fused
def test_a_process_that_passes_its_limit_of_cpu_time_ends_the_run(
    folder: Path, environment: dict[str, str], share: str
) -> None:
    limited = ["bash", "-c", 'ulimit -S -t 15; exec "$@"', "bash"]  # seconds: as every process inherits it
    arguments = ("run", "tiny.yaml", "--set", "epochs=100000", "--set", f"resources.cpu={share}")
    done = subprocess.run(
        [*limited, *command(*arguments)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGXCPU, "")
    assert "resumes from there" in done.stdout
    assert set(pd.read_parquet(folder / "results/tiny/trials.parquet").status) == {"running"}
    assert list(folder.glob("results/tiny/trials/*/epoch-*.safetensors"))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_polite_ending_stops_cleanly_and_says_how_to_go_on(
    folder: Path, environment: dict[str, str], ending: signal.Signals
) -> None:
    options = ("--set", "epochs=4000", "--set", "evaluate=[elbo, sparsity]")
    process = start_command(folder, environment, "run", "tiny.yaml", *options)
    deadline = time.monotonic() + 120
    while not list(folder.glob("results/tiny/trials/*/epoch-*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, ending)  # Ray's services are in the session, too, but still needed
    process.send_signal(ending)  # as `timeout` does, and a terminal's shell
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    again = "spikeslab run tiny.yaml --set epochs=4000 --set 'evaluate=[elbo, sparsity]'"
    assert f"`{again}` resumes from there" in output
    assert errors == ""
    assert "Traceback" not in output
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    trials = pd.read_parquet(folder / "results/tiny/trials.parquet").set_index("trial_id")
    assert set(trials.status) <= {"running", "finished"}
    store = MlflowStore("tiny", folder / "results", create=False)
    store.open()
    for run in store._search("tags.`spikeslab.kind` = 'trial'"):
        trial_id = run.data.tags["spikeslab.trial_id"]
        assert run.info.status == {"running": "KILLED", "finished": "FINISHED"}[trials.status[trial_id]]
    assert store.client.get_run(store.parent_id).info.status == "KILLED"
    for name, row in trials[trials.status == "running"].iterrows():  # stored where they were, not at the 10 before
        stored = [read_history(path) for path in folder.glob("results/tiny/trials/*/epoch-*.safetensors")]
        assert max(len(epochs) for epochs in stored) >= row.epochs_trained, name


def test_a_reader_that_goes_away_ends_no_study(
    folder: Path, environment: dict[str, str], spikeslab: Spikeslab, ray_cluster: str
) -> None:
    with start_command(folder, environment, "run", "tiny.yaml", "--address", ray_cluster, *QUICK) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "trials done, starting Ray" in process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert said == "Output was lost (broken pipe), the study was not: `spikeslab status tiny` says how far it is.\n"
    assert re.search(r"finished +8", spikeslab("status", "tiny").stdout)
