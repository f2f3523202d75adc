"""The command line as a user runs it: a process of its own, or, where that buys nothing, this one."""

import atexit
import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import pytest

from harness.cli import output
from harness.cli.main import main

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


@pytest.fixture
def spikeslab_here(
    folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Spikeslab:
    """Run the command in the user's folder, but in this process, which is left as it was."""

    def run(*arguments: str, **extra: str) -> Result:
        before = read_state()
        with monkeypatch.context() as patch, mock.patch.dict(os.environ, environment | extra, clear=True):
            for name in ("stdout", "stderr", "excepthook"):  # which `main` replaces
                patch.setattr(sys, name, getattr(sys, name))
            patch.setattr(output, "_streams", {})
            patch.setattr(sys, "argv", ["spikeslab", *arguments])
            patch.setattr(sys.modules["__main__"], "__package__", None)  # as in a script, which is named by its file
            patch.chdir(folder)
            with pytest.raises(SystemExit) as ended:
                main()
        atexit.unregister(gc.freeze)  # which `run` registers
        assert read_state() == before
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Result(list(arguments), code, *capfd.readouterr())

    return run


def read_state() -> list[object]:
    """What a command could leave changed in its process; loading a library alone changes none of it."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    streams = (sys.stdin, sys.stdout, sys.stderr, sys.excepthook)
    return [dict(os.environ), Path.cwd(), list(sys.path), handlers, streams, list(logging.root.handlers)]
