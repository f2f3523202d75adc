"""Datasets of ten images for the tests of this folder."""

from pathlib import Path

import pytest

from harness import datasets, paths
from harness.datasets import locations
from tests.harness.datasets.small_idx import SPECS


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten images instead of 70,000, and no folder of this machine; returns the folder to use as --data."""
    monkeypatch.setattr(datasets, "_IDX_SPECS", dict(SPECS))
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(locations, "DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path / "data"
