"""A trial that finds no memory beside others is tried again alone; what goes on beside it is not disturbed."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from harness.commands.outcome import Outcome
from harness.plugins.use import use_plugins
from harness.study.file import load_study
from tests.e2e.conftest import command
from tests.harness.training import train_here

Run = Callable[..., tuple[Outcome, str]]

STUDY = """\
name: hungry
dataset: digits
plugins: [hungry]
defaults: {network: hungry, batch_size: 16, epochs: 12}
space:
  - {model: vae, latent_dim: {grid: [2, 5, 3, 4, 6, 7]}}
evaluate: [elbo]
figures: []
"""


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Write the study, with its plug-in; takes: see there."""

    def write(takes: str) -> Path:
        (tmp_path / "words").mkdir()
        code = (Path(__file__).parent / "hungry.py").read_text()
        code = code.replace('"FOLDER"', repr(str(tmp_path / "words"))).replace('"TAKES"', repr(takes))
        (tmp_path / "hungry.py").write_text(code)
        (tmp_path / "hungry.yaml").write_text(STUDY)
        return tmp_path / "hungry.yaml"

    yield write
    use_plugins(())


def read(results: Path) -> pd.DataFrame:
    table = pd.read_parquet(results / "hungry" / "trials.parquet").set_index("trial_id").sort_index()
    return table[["latent_dim", "status", "epochs_trained", "test/elbo", "test/rate"]]


def train_undisturbed(path: Path, results: Path) -> pd.DataFrame:
    study = load_study(path)
    use_plugins(study.loaded_plugins)
    train_here(study, results)
    return read(results)


@pytest.mark.slow
def test_a_trial_without_memory_is_tried_alone_after_the_others(
    run: Run, write: Callable[[str], Path], tmp_path: Path
) -> None:
    path = write("an error")
    outcome, printed = run(load_study(path))
    print(printed)
    assert (outcome.num_done, outcome.num_failed, outcome.num_trained) == (6, 0, 6)
    assert printed.count("ran out of memory beside 1 other; it is tried again alone") == 1, printed
    pd.testing.assert_frame_equal(read(tmp_path / "results"), train_undisturbed(path, tmp_path / "undisturbed"))


@pytest.mark.slow
def test_an_engine_without_memory_is_followed_by_smaller_ones(
    run: Run, write: Callable[[str], Path], tmp_path: Path
) -> None:
    path = write("an error in a crowd")
    outcome, printed = run(load_study(path, ["resources.cpu=0.25"]))
    print(printed)
    assert (outcome.num_done, outcome.num_failed) == (6, 0)
    assert "trials at once; it goes on with 2, each from its checkpoint." in printed or "goes on with 1" in printed
    assert "tried again" not in printed
    pd.testing.assert_frame_equal(read(tmp_path / "results"), train_undisturbed(path, tmp_path / "undisturbed"))


@pytest.mark.slow
def test_what_ray_ends_for_lack_of_memory_goes_on_and_its_cause_alone(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 8e9:
        pytest.skip("it takes 5 GB of memory for a moment")
    path = write("memory")
    limit = (memory.total - memory.available + 3.5e9) / memory.total
    variables: dict[str, Any] = os.environ | {
        "RAY_memory_usage_threshold": f"{limit:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    words = command("run", str(path), "--results", str(tmp_path / "results"))
    done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("it is tried again alone") == 1
    pd.testing.assert_frame_equal(read(tmp_path / "results"), train_undisturbed(path, tmp_path / "undisturbed"))
