"""Our models beside the report's published curves, and the harness beside the time its trials take: `make slow`."""

import os
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from analysis.tables.reported_numbers import load_training_curves
from harness.datasets import load_dataset
from harness.worker.images import Images
from models.benchmark.processes import time_processes
from models.benchmark.timing import Task
from models.measures.probes import run_probes
from models.settings import TrialSettings
from models.training.fit import fit
from models.training.state import init_state
from tests.e2e.conftest import REPOSITORY, Spikeslab

FOUR_TRIALS = """
name: four
dataset: mnist
defaults: {latent_dim: 200, batch_size: 32, epochs: 8}
space:
  - {model: vsc, alpha: {grid: [0.1, 0.2, 0.3, 0.5]}}
evaluate: [elbo, sparsity]
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif("SPIKESLAB_DATA" not in os.environ, reason="needs MNIST; SPIKESLAB_DATA names its folder")
@pytest.mark.parametrize("cpu", [1, 0.2], ids=["alone", "fused"])
def test_test_loss_is_within_one_and_a_half_percent_of_the_report(
    cpu: float, spikeslab: Spikeslab, folder: Path
) -> None:
    study = str(REPOSITORY / "studies" / "reference-check.yaml")
    options = ("--data", os.environ["SPIKESLAB_DATA"], "--set", f"resources.cpu={cpu}")
    done = spikeslab("run", study, *options, timeout=1700)
    assert done.returncode == 0, done.stderr
    results = folder / "results" / "reference-check"
    trials = pd.read_parquet(results / "trials.parquet")
    history = pd.read_parquet(results / "history.parquet")
    ours = history.merge(trials[["trial_id", "model", "alpha", "latent_dim"]], on="trial_id")
    keys = ["model", "alpha", "latent_dim", "epoch"]
    both = ours.fillna({"alpha": 0}).merge(load_training_curves("mnist").fillna({"alpha": 0}), on=keys)
    assert len(both) == 27
    deviation = both["test/loss"] / both["test_loss"] - 1
    worst = both.loc[deviation.abs().idxmax()]
    print("\ndeviation of test/loss from the report's, percent, by epoch")
    print((both.assign(percent=100 * deviation).pivot_table("percent", keys[:3], "epoch")).round(2))
    print(
        f"largest: {100 * deviation.abs().max():.2f}% ({worst.model} alpha {worst.alpha:g} latent {worst.latent_dim}, "
        f"epoch {worst.epoch}); mean of all {100 * deviation.abs().mean():.2f}%; "
        f"{(deviation.abs() <= 0.015).sum()} of 27 within 1.5%"
    )
    assert deviation.abs().max() <= 0.015


@pytest.mark.slow
def test_the_harness_adds_little_to_the_time_of_its_trials(spikeslab: Spikeslab, folder: Path) -> None:
    study = str(REPOSITORY / "studies" / "quickstart.yaml")
    started = time.monotonic()
    done = spikeslab("run", study, timeout=300)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(folder / "results" / "quickstart" / "trials.parquet")
    assert len(trials) == 60
    assert (trials.epochs_trained >= 30).all()
    match = re.search(r"start-up (\d+) s", done.stdout)
    assert match is not None
    startup = int(match[1])
    training = trials.train_seconds.sum() / min(os.cpu_count() or 1, 60)
    print(
        f"\nquickstart: {seconds:.1f} s in all, {startup} s of it start-up; training {training:.1f} s per core; "
        f"ratio {(seconds - startup) / training:.2f}"
    )
    assert seconds - startup <= 1.3 * training
    assert startup <= 15
    assert seconds <= 75


@pytest.mark.slow
@pytest.mark.skipif("SPIKESLAB_DATA" not in os.environ, reason="needs MNIST; SPIKESLAB_DATA names its folder")
def test_a_study_trains_four_times_as_fast_as_a_plain_loop(spikeslab: Spikeslab, folder: Path) -> None:
    """Start-up, evaluation, MLflow and figures included. The loop is timed before and after: the machine is shared."""
    loop = Task(loop="plain", device="cpu", latent_dim=200, batch_size=32, seconds=10.0)
    before = time_processes(loop, 1)
    (folder / "four.yaml").write_text(FOUR_TRIALS, encoding="utf-8")
    started = time.monotonic()
    done = spikeslab("run", "four.yaml", "--data", os.environ["SPIKESLAB_DATA"], timeout=500)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    history = pd.read_parquet(folder / "results" / "four" / "history.parquet")
    assert len(history) == 32
    plain = sum(timing.ms_per_step for timing in (*before, *time_processes(loop, 1))) / 2
    ours, theirs = 32 * 3600 / seconds, 3600 / (1.875 * plain)
    print(
        f"\nfour trials of 8 epochs: {seconds:.1f} s, {ours:.0f} trial-epochs per hour, {history.seconds.mean():.2f} s "
        f"an epoch; plain loop: {plain:.2f} ms a step, {theirs:.0f} trial-epochs per hour; ratio {ours / theirs:.2f}"
    )
    assert ours >= 4 * theirs


@pytest.mark.slow
@pytest.mark.skipif("SPIKESLAB_DATA" not in os.environ, reason="needs MNIST; SPIKESLAB_DATA names its folder")
def test_all_probes_of_a_trial_take_twenty_seconds_at_most() -> None:
    """On one core; a VSC has three inputs, which at alpha 0.01 are nearly collinear."""
    images = Images.of(load_dataset("mnist", Path(os.environ["SPIKESLAB_DATA"])), 0, "cpu")
    settings = TrialSettings(model="vsc", alpha=0.01, latent_dim=200, epochs=1)
    state = init_state(settings, images.shape)
    list(fit(state, settings, images.train))
    started = time.monotonic()
    accuracies = run_probes(state.model, *images.labelled, seed=0)
    seconds = time.monotonic() - started
    print(f"\nall probes: {seconds:.1f} s; linear on mu, all labels: {accuracies['probe/linear_mu_all_accuracy']:.3f}")
    assert accuracies["probe/linear_mu_all_accuracy"] > 0.8
    assert seconds <= 20
