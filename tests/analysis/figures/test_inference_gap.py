# ruff: noqa: RUF001  (Greek letters, meant as such)
import numpy as np
import pytest

from analysis.figures.inference_gap import compute, find, plot, shape
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy, with_inference_gap


def test_the_bounds_are_the_tightest_less_its_gaps() -> None:
    study = SyntheticStudy()
    study.grid([0.1], [8, 32], seeds=2)
    with_inference_gap(study)
    frame = compute(study.tables())
    means = frame.set_index(["panel", "model", "latent_dim"])["mean"]
    tight = np.mean([t["test/iw_bound_5000"] for t in study.trials if t["model"] == "vsc" and t["latent_dim"] == 8])
    assert means["IW bound, 5,000 samples", "vsc", 8] == pytest.approx(tight)
    assert means["IW bound, 50 samples", "vsc", 8] == pytest.approx(tight - 1)
    assert means["ELBO", "vsc", 8] == pytest.approx(tight - 3)
    axes = make_axes(*shape(frame))
    plot(frame, axes)
    assert [ax.get_title() for ax in axes[0]] == ["ELBO", "IW bound, 50 samples", "IW bound, 5,000 samples"]
    assert axes[0, 0].get_ylabel() == "bound on log p(x) (nats per image,\nhigher is better)"
    assert all(len(ax.lines) == 2 for ax in axes[0])


def lead(models: dict[tuple[str, float], float]) -> str:
    """What is found of models whose bound with 5,000 samples is this, and whose ELBO is 3 (VAE) or 5 nats below it."""
    study = SyntheticStudy()
    for latent_dim in (8, 32):
        for (model, alpha), bound in models.items():
            for seed in range(2):
                study.add(model, latent_dim, seed, alpha)
                study.trials[-1] |= {
                    "test/iw_bound_5000": bound + seed + latent_dim * (model == "vae"),
                    "test/inference_gap": 3.0 if model == "vae" else 5.0,
                    "test/iw_bound_gap": 1.0,
                }
    return find(compute(study.tables()))


def test_the_headline_has_the_lead_of_the_vae_by_the_loosest_and_the_tightest_bound() -> None:
    assert lead({("vae", np.nan): -100.0, ("vsc", 0.01): -110.0, ("vsc", 0.2): -60.0}) == (
        "the lead of the VAE in nats by ELBO → 5,000 samples, at latent dimension 32: "
        "44.0 → 42.0 over VSC, α = 0.01; −6.0 → −8.0 over VSC, α = 0.2"
    )


def test_without_a_vae_or_another_model_there_is_no_lead() -> None:
    assert lead({("vae", np.nan): -100.0}) == ""
    assert lead({("vsc", 0.01): -110.0, ("vsc", 0.2): -60.0}) == ""
