"""Data that lie beside a plug-in, which finds them by its `__file__`."""

import sys
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import identify_dataset
from tests.harness.plugins.examples import read, trials_of

READER = """
from pathlib import Path

import numpy as np

def load():
    arrays = np.load(Path(__file__).parent / "mine.npz")
    return [arrays[name] for name in ("images", "labels", "images", "labels")]

def register(registry):
    registry.add_dataset("stripes", load)
"""
STUDY = "name: laplace\ndataset: stripes\nplugins: [my_parts]\nspace: [{model: vae, latent_dim: 2}]\n"


def put_reader(folder: Path, value: int, module: str) -> None:
    """Put a plug-in, the data that it reads, and a study into a folder. value: of all pixels."""
    path = folder / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(READER)
    np.savez(path.parent / "mine.npz", images=np.full((8, 1, 2, 2), value, np.uint8), labels=np.zeros(8, np.uint8))
    (folder / "laplace.yaml").write_text(STUDY)


@pytest.mark.parametrize("module", ["my_parts.py", "my_parts/__init__.py"])
def test_a_plugin_reads_data_beside_itself_whatever_the_current_folder_is(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_reader(tmp_path / "mine", 5, module)
    monkeypatch.chdir(tmp_path)
    study = read(Path("mine"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (trial,) = trials_of(study)
    assert trial.dataset == "stripes"
    assert sys.modules["my_parts"].__file__ == str(tmp_path / "mine" / module)
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_copy_of_a_plugin_reads_the_data_beside_the_copy(tmp_path: Path) -> None:
    hashes = []
    for name, value in (("first", 5), ("second", 6)):
        put_reader(tmp_path / name, value, "my_parts.py")
        trials_of(read(tmp_path / name))
        hashes.append(identify_dataset("stripes").content_hash)
    assert hashes[0] != hashes[1]
