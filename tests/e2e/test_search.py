"""Searches that are killed, and what samplers and schedulers are worth: minutes of training. `make slow` runs these."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from harness.cli import dashboard_server
from harness.commands.outcome import Outcome
from harness.study.file import load_study
from harness.tracking.mlflow_store import MlflowStore
from tests.e2e.conftest import Spikeslab, start_command

pytestmark = pytest.mark.slow

STUDY = """\
# Which settings are best? (a study for tests)
name: search
dataset: digits
defaults: {hidden: [64], batch_size: 64, epochs: 27, num_validation: 250, gamma_link: sigmoid}
space:
  - model: vsc
    latent_dim: {int: [2, 32]}
    alpha: {loguniform: [0.01, 0.5]}
    learning_rate: {loguniform: [1.0e-4, 3.0e-2]}
evaluate: [elbo]
"""
TPE = STUDY + "search: {sampler: tpe, num_trials: 48}\n"
NSGA2 = STUDY + "search: {sampler: nsga2, num_trials: 16, metric: [val/rate, val/distortion]}\n"
MEDIAN = STUDY + "search: {sampler: random, num_trials: 16}\nscheduler: {name: median, grace_epochs: 3}\n"
HYPERBAND = STUDY + "search: {sampler: random, num_trials: 16}\nscheduler: {name: hyperband, reduction_factor: 3}\n"
PBT = (
    STUDY.replace("latent_dim: {int: [2, 32]}", "latent_dim: 8").replace("{loguniform: [0.01, 0.5]}", "0.2")
    + "search: {sampler: quasirandom, num_trials: 8}\nscheduler: {name: pbt, interval: 5}\n"
)


def kill_while_training(folder: Path, environment: dict[str, str], rng: random.Random) -> int:
    """Start the study, kill it at a random moment while it trains; returns how many trials had ended by then."""
    process = start_command(folder, environment, "run", "search.yaml")
    before = count_stored(folder)
    while count_stored(folder) <= before and process.poll() is None:
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 3.0))
    was_running = process.poll() is None
    if was_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert was_running, "it ended before it could be killed: give the study more to do"
    time.sleep(1.0)
    return len(list(folder.glob("results/search/trials/*/result-*.json")))


def count_stored(folder: Path) -> int:
    return sum(path.stat().st_mtime_ns for path in folder.glob("results/search/trials/*/*") if path.name != "log.txt")


def check_runs(folder: Path, num_trials: int) -> pd.DataFrame:
    """Tables and MLflow agree: each trial once, each of its epochs once."""
    trials = pd.read_parquet(folder / "results/search/trials.parquet")
    history = pd.read_parquet(folder / "results/search/history.parquet")
    assert len(trials) == num_trials
    assert trials.trial_id.is_unique
    assert not history.duplicated(["trial_id", "epoch"]).any()
    store = MlflowStore("search", folder / "results", create=False)
    runs = store._search("tags.`spikeslab.kind` = 'trial'")
    assert sorted(r.data.tags["spikeslab.trial_id"] for r in runs) == sorted(trials.trial_id)
    assert {r.info.status for r in runs} == {"FINISHED"}
    return trials


def test_a_tpe_search_killed_three_times_has_every_trial_once_and_told_each_once(
    folder: Path, environment: dict[str, str], spikeslab: Spikeslab
) -> None:
    (folder / "search.yaml").write_text(TPE)
    rng = random.Random(20261124)
    ended = [kill_while_training(folder, environment, rng) for _ in range(3)]
    print("trials ended at each kill:", ended)
    done = spikeslab("run", "search.yaml", timeout=600)
    assert done.returncode == 0, done.stderr
    trials = check_runs(folder, 48)
    assert spikeslab("run", "search.yaml").stdout.count("nothing to train") == 1

    storage = f"sqlite:///{folder / 'results/search/optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    told = optuna.load_study(study_name=name, storage=storage).trials
    known = [t for t in told if "trial_id" in t.user_attrs]
    assert sorted(t.user_attrs["trial_id"] for t in known) == sorted(trials.trial_id)
    assert {t.state for t in known} == {TrialState.COMPLETE}
    history = pd.read_parquet(folder / "results/search/history.parquet")
    last = history[history.epoch == 27].set_index("trial_id")["val/elbo"].to_dict()
    assert {t.user_attrs["trial_id"]: t.value for t in known} == last
    # What was asked for but never known to us is given up, and told so.
    assert {t.state for t in told if t not in known} <= {TrialState.FAIL}
    check_dashboard(storage)


def check_dashboard(storage: str) -> None:
    """Optuna's dashboard opens the storage and shows the study."""
    port = "18471"
    server = subprocess.Popen(
        [sys.executable, "-P", dashboard_server.__file__, storage, port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                    content = answer.read().decode()
                break
            except OSError:
                assert time.monotonic() < deadline, "the dashboard did not answer"
                time.sleep(0.3)
        assert '"study_name": "search-' in content or '"study_name":"search-' in content, content[:300]
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize(
    ("text", "num_trials"),
    [(PBT, 8), (HYPERBAND, 16), (MEDIAN, 16), (NSGA2, 16)],
    ids=["pbt", "hyperband", "median", "nsga2"],
)
def test_it_resumes_after_a_kill_with_one_run_per_trial(
    folder: Path, environment: dict[str, str], spikeslab: Spikeslab, text: str, num_trials: int
) -> None:
    (folder / "search.yaml").write_text(text)
    kill_while_training(folder, environment, random.Random(text))
    done = spikeslab("run", "search.yaml", timeout=600)
    assert done.returncode == 0, done.stderr
    trials = check_runs(folder, num_trials)
    assert set(trials.status) <= {"finished", "stopped"}


AT_ONCE = STUDY + "search: {sampler: tpe, num_trials: 24, at_once: 2}\n"


def test_three_runs_of_two_at_once_propose_the_same_also_when_one_is_killed(
    tmp_path: Path, folder: Path, environment: dict[str, str], spikeslab: Spikeslab
) -> None:
    """Trials take unlike times and end in another order each time: what each learns from is fixed."""
    proposals = []
    for results, is_killed in (("results", True), ("second", False), ("third", False)):
        (folder / "search.yaml").write_text(AT_ONCE)
        if is_killed:
            kill_while_training(folder, environment, random.Random(7))
        done = spikeslab("run", "search.yaml", "--results", results, timeout=600)
        assert done.returncode == 0, done.stderr
        storage = f"sqlite:///{tmp_path / results / 'search/optuna.db'}"
        (name,) = optuna.get_all_study_names(storage)
        told = optuna.load_study(study_name=name, storage=storage).trials
        assert {t.state for t in told} == {TrialState.COMPLETE}
        proposals.append([(t.params, t.value) for t in told])
    assert proposals[0] == proposals[1] == proposals[2]
    assert len(proposals[0]) == 24


# What samplers and schedulers are worth

REPETITIONS, NUM_TRIALS = 5, 60
SEARCHES: dict[str, str] = {
    "random": "search: {sampler: random, num_trials: 60, seed: SEED}\n",
    "tpe": "search: {sampler: tpe, num_trials: 60, seed: SEED}\n",
    # The same proposals however many run at once, each of which knows a trial less.
    "tpe, at_once: 2": "search: {sampler: tpe, num_trials: 60, seed: SEED, at_once: 2}\n",
    # Of as many configurations as take the epochs of the others, which train a quarter of them.
    "random, asha": (
        "search: {sampler: random, num_trials: 240, seed: SEED}\n"
        "scheduler: {name: asha, grace_epochs: 1, reduction_factor: 3}\n"
    ),
}


@pytest.mark.timeout(3600)
def test_tpe_and_for_as_many_epochs_asha_are_at_least_about_as_good_as_random(
    run: Callable[..., tuple[Outcome, str]], tmp_path: Path
) -> None:
    space = STUDY.replace("hidden: [64], batch_size: 64", "hidden: [32], batch_size: 128")
    rows: list[dict[str, Any]] = []
    for name, search in SEARCHES.items():
        for seed in range(REPETITIONS):
            study = f"{name.replace(', ', '-').replace('_', '-').replace(': ', '-')}-{seed}"
            path = tmp_path / f"{study}.yaml"
            path.write_text(space.replace("name: search", f"name: {study}") + search.replace("SEED", str(seed)))
            results = tmp_path / f"results-{study}"  # of its own: studies of one folder share what they train
            outcome, _ = run(load_study(path), results)
            trials = pd.read_parquet(results / study / "trials.parquet")
            history = pd.read_parquet(results / study / "history.parquet")
            assert len(trials) == (4 * NUM_TRIALS if "asha" in name else NUM_TRIALS)
            last = history.sort_values("epoch").groupby("trial_id")["val/elbo"].last()
            finished = trials[trials.status == "finished"].set_index("trial_id")
            winner = last[finished.index].idxmax()  # chosen on validation images, judged on the test images
            values = {"best val/elbo": last[winner], "its test/elbo": finished.loc[winner, "test/elbo"]}
            rows.append({"search": name, "seed": seed} | values | {"epochs": outcome.num_epochs})
    table = pd.DataFrame(rows)
    print(f"\n{table.to_string(index=False, float_format='%.2f')}")
    best = {name: median(own["its test/elbo"]) for name, own in table.groupby("search")}
    epochs = {name: own["epochs"].sum() for name, own in table.groupby("search")}
    assert epochs["random"] == epochs["tpe"] == REPETITIONS * NUM_TRIALS * 27
    for name in SEARCHES:
        print(f"{name}: median test/elbo of the winner {best[name]:.2f}, {epochs[name] / REPETITIONS:.0f} epochs each")
    assert best["tpe"] >= best["random"]
    assert best["tpe, at_once: 2"] >= best["random"]
    assert epochs["random, asha"] <= epochs["random"]
    assert best["random, asha"] >= best["random"] - 0.5
