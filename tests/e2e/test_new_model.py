"""A model that comes from outside: one new file, its row and its settings, and everything else works with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from harness.tracking.mlflow_settings import tracking_uri
from tests.e2e.conftest import REPOSITORY

LATENT = '''
"""Laplace latents."""

import torch
from torch.distributions import Laplace, kl_divergence

from models.latents.latent import Latent


class LaplaceLatent(Latent):
    """A Laplace posterior under a Laplace prior."""

    def __init__(self, latent_dim, scale):
        super().__init__(latent_dim)
        self.register_buffer("scale", torch.full((latent_dim,), scale), persistent=False)

    def posterior(self, heads):
        loc, log_scale = heads.unbind(1)
        return Laplace(loc, log_scale.exp(), validate_args=False)

    def prior(self, encode):
        return Laplace(torch.zeros_like(self.scale), self.scale, validate_args=False)

    def draw(self, q, noise, at=None):
        centred = noise.uniform(*q.loc.shape).clamp(1e-6, 1 - 1e-6) - 0.5
        return q.loc - q.scale * centred.sign() * torch.log1p(-2 * centred.abs())

    def rate(self, q, x, encode, at=None):
        return kl_divergence(q, self.prior(encode)).sum(-1)


def build(settings):
    return LaplaceLatent(settings.latent_dim, settings.scale)
'''
ROW = '    "laplace": Parts("laplace", num_heads=2),\n'
SETTING = """\
    scale: float | None = setting(
        1.0, meaning="Laplace: scale of the prior", of=("laplace",), at_least=0.01, at_most=100
    )
"""
STUDY = """\
# Is a Laplace prior a better one?
name: laplace
dataset: digits
defaults: {latent_dim: 4, hidden: [32], batch_size: 128, epochs: 3}
space:
  - model: vae
  - model: laplace
    scale: {grid: [0.5, 1.0]}
seeds: [0, 1]
evaluate: [elbo, iw_bound, sparsity, reconstruction, probe, edits, exhibits]
figures: [rate_distortion, convergence, codes_and_reconstructions, traversals]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone, to which the new model has been added as CONTRIBUTING says."""
    for name in ("harness", "models", "analysis"):
        shutil.copytree(REPOSITORY / name, tmp_path / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "code" / "models" / "latents" / "laplace.py").write_text(LATENT, encoding="utf-8")
    models = tmp_path / "code" / "models"
    for file, addition, anchor in (
        ("choices.py", ROW, '    "vsc": Parts('),
        ("settings.py", SETTING, "    pixel_scaling: "),
    ):
        text = (models / file).read_text(encoding="utf-8")
        assert text.count(anchor) == 1
        (models / file).write_text(text.replace(anchor, addition + anchor), encoding="utf-8")
    return tmp_path / "code"


def test_a_new_latent_is_trained_measured_tracked_and_drawn(clone: Path, tmp_path: Path) -> None:
    """As `spikeslab run` of the clone."""
    study = tmp_path / "laplace.yaml"
    study.write_text(STUDY, encoding="utf-8")
    command = [sys.executable, "-P", "-c", "from harness.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "run", str(study), "--results", "results"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "laplace: 6 of 6 trials done (6 trained or measured now)" in done.stdout

    folder = tmp_path / "results" / "laplace"
    trials = pd.read_parquet(folder / "trials.parquet")
    assert set(trials["status"]) == {"finished"}
    new = trials[trials["model"] == "laplace"]
    assert sorted(new["scale"]) == [0.5, 0.5, 1.0, 1.0]
    assert trials.loc[trials["model"] == "vae", "scale"].isna().all()
    for metric in ("test/elbo", "test/iw_bound", "test/reconstruction_error", "probe/linear_mu_all_accuracy"):
        assert new[metric].notna().all(), metric
    assert (new["test/iw_bound"] >= new["test/elbo"] - 0.5).all()
    assert (new["code/nonzero_fraction"] == 1).all()
    history = pd.read_parquet(folder / "history.parquet")
    losses = history[history["trial_id"].isin(new["trial_id"])].pivot_table("train/loss", "epoch", "trial_id")
    assert (losses.loc[3] < losses.loc[1]).all()

    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {"rate_distortion", "convergence", "codes_and_reconstructions", "traversals"}
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(tmp_path / "results"))
    runs = [client.get_run(run_id) for run_id in new["mlflow_run_id"]]
    assert {run.data.params["scale"] for run in runs} == {"0.5", "1.0"}
    assert all(run.info.status == "FINISHED" for run in runs)
