"""docs/notebook.ipynb, executed by a real kernel."""

import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.e2e.conftest import REPOSITORY


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(
    tmp_path: Path, ray_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (REPOSITORY / "docs").glob("notebook.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster)  # two workers
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    notebook = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc")  # no port that others could connect to
    NotebookClient(notebook, timeout=240, km=kernel, resources={"metadata": {"path": str(tmp_path)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output["data"]["text/plain"] for output in outputs if "data" in output]
    (line,) = [text for text in texts if "trials done" in text]  # one line, replaced in place
    assert line.startswith("4/4 trials done")
    assert any("Outcome(num_trials=4, num_done=4, num_failed=0" in text for text in texts)
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    here, stored = (float(part.split()[0]) for part in printed.splitlines()[-1].split(","))
    assert here == pytest.approx(stored, abs=1)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert len(pd.read_parquet(tmp_path / "results" / "notebook" / "trials.parquet")) == 4
    assert (tmp_path / "results" / "notebook" / "figures" / "rate_distortion.png").exists()


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook = nbformat.read(REPOSITORY / "docs" / "notebook.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 3
    assert [cell.outputs for cell in cells if cell.outputs] == []
