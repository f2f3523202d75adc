"""The published results: as near to the report's own numbers as promised, and shown in README as they are."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.claims import claims_frame
from analysis.tables import load_tables
from analysis.tables.reported_numbers import load_curves, load_training_curves
from harness.datasets import identify_dataset
from harness.ledger.provenance import read_provenance
from harness.search.grid_and_random import plan_trials
from harness.study.file import load_study
from tests.readme_claims import FOLDER, README, judge_published, make_section

PUBLISHED = FOLDER / "studies" / "published"
GRIDS = [
    path.parent for path in sorted(PUBLISHED.glob("*/study.yaml")) if load_study(path).search.sampler == "grid"
]  # what a search proposes depends on what it finds
SEMANTICS = 2  # of the training of what was published before provenance said it
EPOCHS = 11
LARGEST_DEVIATION = 1.0  # percent
FARTHEST = 3.0  # points of accuracy


@pytest.mark.parametrize("latent_dim", [24, 200])
@pytest.mark.parametrize("alpha", [None, 0.5, 0.2, 0.01])
def test_the_reports_seed_comes_to_the_reports_loss(alpha: float | None, latent_dim: int) -> None:
    tables = load_tables(PUBLISHED / "elbo-vs-latent-dim")
    trials = tables.trials[(tables.trials["seed"] == 1) & (tables.trials["latent_dim"] == latent_dim)]
    trials = trials[trials["alpha"].isna() if alpha is None else trials["alpha"] == alpha]
    (trial_id,) = trials["trial_id"]
    ours = tables.history[tables.history["trial_id"] == trial_id].set_index("epoch").loc[EPOCHS, "test/loss"]
    reported = load_training_curves("mnist")
    is_same = reported["alpha"].isna() if alpha is None else reported["alpha"] == alpha
    is_same &= (reported["latent_dim"] == latent_dim) & (reported["epoch"] == EPOCHS)
    (theirs,) = reported.loc[is_same, "test_loss"]
    deviation = 100 * (ours / theirs - 1)
    print(f"\nalpha {alpha}, latent {latent_dim}: {ours:.2f} nats per image, {deviation:+.2f}% of the report's")
    assert abs(deviation) < LARGEST_DEVIATION  # asked for down to alpha 0.2; 0.01 is there, too


def test_on_the_reports_random_numbers_every_epoch_comes_to_its_loss() -> None:
    tables = load_tables(PUBLISHED / "reference-check")
    assert set(tables.trials["randomness"]) == {"report"}
    ours = tables.history.merge(tables.trials[["trial_id", "model", "alpha", "latent_dim"]], on="trial_id")
    both = ours.merge(load_training_curves("mnist"), on=["model", "alpha", "latent_dim", "epoch"])
    assert len(both) == 27
    deviations = 100 * (both["test/loss"] / both["test_loss"] - 1)
    print(f"\nlargest {deviations.abs().max():.2f}%, mean {deviations.abs().mean():.2f}%")
    assert deviations.abs().max() <= 1.5


@pytest.mark.parametrize(("alpha", "latent_dim"), [(None, 24), (None, 48), (None, 96), (0.01, 200)])
def test_the_reports_classifier_comes_to_the_reports_accuracy(alpha: float | None, latent_dim: int) -> None:
    trials = load_tables(PUBLISHED / "accuracy-vs-latent-dim").trials
    trials = trials[trials["latent_dim"] == latent_dim]
    trials = trials[trials["alpha"].isna() if alpha is None else trials["alpha"] == alpha]
    is_dead = trials["probe/report_coded_mu_5k_dead_logits"] > 0
    ours = trials.loc[~is_dead, "probe/report_coded_mu_5k_accuracy"]
    assert len(ours) >= 3
    reported = load_curves("accuracy", "mnist")
    is_same = reported["alpha"].isna() if alpha is None else reported["alpha"] == alpha
    (theirs,) = reported.loc[is_same & (reported["latent_dim"] == latent_dim), "value"]
    points = 100 * (ours.mean() - theirs)
    print(f"\nalpha {alpha}, latent {latent_dim}: {points:+.2f} points; a logit died in {is_dead.sum()} runs")
    assert np.abs(points) < FARTHEST


@pytest.mark.parametrize("folder", GRIDS, ids=lambda folder: folder.name)
def test_a_published_grid_is_what_its_study_plans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some were extended by further runs: their tables and their study were put together, not written by one."""
    semantics = read_provenance(folder)[-1].get("version.semantics", SEMANTICS)
    monkeypatch.setattr("harness.ledger.trial.SEMANTICS_VERSION", int(semantics))
    study = load_study(folder / "study.yaml")
    planned = [trial.trial_id for trial in plan_trials(study, identify_dataset(study.dataset))]
    tables = load_tables(folder)
    assert list(tables.trials["trial_id"]) == planned
    assert set(tables.history["trial_id"]) == set(tables.trials.query("epochs_trained > 0")["trial_id"])


def test_the_published_report_shows_the_claims_as_they_are_judged() -> None:
    expected = pd.read_csv(io.StringIO(claims_frame(judge_published()).to_csv(index=False)))
    shown = pd.read_csv(PUBLISHED / "report" / "claims.csv")
    pd.testing.assert_frame_equal(shown, expected, rtol=1e-6, obj="claims.csv: write the report again")


def test_readme_shows_the_claims_as_they_are_judged() -> None:
    assert make_section(judge_published()) in README.read_text(), "run `python -m tests.readme_claims`"
