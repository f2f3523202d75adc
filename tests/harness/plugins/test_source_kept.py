"""The source of plug-ins, which a study keeps beside the record that has their hashes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands.outcome import Outcome
from harness.errors import InputError
from harness.plugins.source import Plugin, find_plugin
from harness.tracking.mlflow_store import MlflowStore
from tests.harness.plugins.examples import read

PARTS = """
import numpy as np

def load():
    return [array for n in (60, 20) for array in (np.full((n, 1, 2, 2), 9, np.uint8), np.zeros(n, np.uint8))]

def register(registry):
    registry.add_dataset("grey", load)
"""
STUDY = """
name: grey
dataset: grey
plugins: [mine]
defaults: {hidden: [4], epochs: 1}
space: [{model: vae, latent_dim: 2}]
evaluate: [elbo]
"""


def read_plugin(kept: Path) -> Plugin:
    files = sorted((path.relative_to(kept).as_posix(), path.read_bytes()) for path in kept.rglob("*.py"))
    return Plugin("mine", tuple(files), str(kept))


def test_what_a_run_keeps_of_a_plugin_has_the_hash_of_its_record_and_is_never_run(
    run: Callable[..., tuple[Outcome, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("from mine.parts import register\n")
    (tmp_path / "laplace.yaml").write_text(STUDY)
    hashes = []
    for num, text in enumerate((PARTS, PARTS.replace("9, np", "8, np"))):
        (package / "parts.py").write_text(text)
        assert run(read(tmp_path))[0].num_trained == 1
        record = json.loads((tmp_path / "results" / "grey" / "provenance.json").read_text())
        assert len(record) == num + 1
        hashes.append(record[-1]["plugin.mine.sha256"])
    kept = tmp_path / "results" / "grey" / "plugins"
    assert {path.name: read_plugin(path).sha256 for path in kept.iterdir()} == {sha[:8]: sha for sha in hashes}

    store = MlflowStore("grey", tmp_path / "results", create=False)
    store.open()
    assert store.parent_id is not None
    for sha256 in hashes:
        sent = store.client.list_artifacts(store.parent_id, f"plugins/{sha256[:8]}/mine")
        assert [Path(item.path).name for item in sent] == ["__init__.py", "parts.py"]

    monkeypatch.chdir(kept / hashes[0][:8])
    with pytest.raises(InputError, match="lies among results, whose code is never run"):
        find_plugin("mine", Path("laplace.yaml"))
