"""A test's folder has no neighbours: studies in one folder share what they train, and tests must not."""

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """One level further down than pytest's own, whose neighbours are the folders of other tests."""
    nested = tmp_path / "alone"
    nested.mkdir()
    return nested
