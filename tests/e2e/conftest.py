"""The command line as a user runs it: a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Result = subprocess.CompletedProcess[str]
Spikeslab = Callable[..., Result]
REPOSITORY = Path(__file__).parents[2]

STUDY = """\
# Which is better? (a study for tests)
name: tiny
dataset: digits
defaults: {hidden: [16], batch_size: 128, epochs: 3}
space:
  - {model: vae, latent_dim: {grid: [2, 4]}}
  - {model: vsc, latent_dim: 4, alpha: {grid: [0.2, 0.5]}}
seeds: [0, 1]
iw_samples: 5
"""


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "spikeslab"), *arguments]


def start_command(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a folder, in a session of its own, as a terminal gives each."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(*arguments), cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a user's, with one study in it."""
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment, with a home of its own: nothing of the user's is read or written."""
    kept = {k: v for k, v in os.environ.items() if k not in ("SPIKESLAB_DATA", "MLFLOW_TRACKING_URI")}
    return kept | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "120"}


@pytest.fixture
def spikeslab(folder: Path, environment: dict[str, str]) -> Spikeslab:
    """Run the command in the user's folder."""

    def run(*arguments: str, timeout: float = 180, **extra: str) -> Result:
        return subprocess.run(
            command(*arguments),
            cwd=folder,
            env=environment | extra,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
