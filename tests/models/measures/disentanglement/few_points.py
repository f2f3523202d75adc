"""Scores from few points, so that a test takes a second."""

import pytest

from models.measures.disentanglement import dci, scores


def take_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit and score on hundreds of points, not thousands."""
    for name in ("beta_vae", "factor_vae", "sap", "explicitness"):
        for constant, value in (("NUM_TRAIN", 400), ("NUM_TEST", 200)):
            monkeypatch.setattr(f"models.measures.disentanglement.{name}.{constant}", value)
    for name in ("mutual_information", "infomec"):
        monkeypatch.setattr(f"models.measures.disentanglement.{name}.NUM_POINTS", 500)
    monkeypatch.setattr(scores, "score_dci", lambda *args, **kw: dci.score_dci(*args, num_train=80, num_test=40, **kw))
