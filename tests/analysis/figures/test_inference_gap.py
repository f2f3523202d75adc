import numpy as np
import pytest

from analysis.figures.inference_gap import compute, plot, shape
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
