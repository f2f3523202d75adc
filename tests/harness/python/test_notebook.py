"""docs/notebook.ipynb, executed by a real kernel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tests.e2e.conftest import REPOSITORY

EXECUTE = """
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read("notebook.ipynb", as_version=4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file="kernel.json", ip="kernel")
NotebookClient(notebook, timeout=300, km=kernel).execute()  # over sockets that nobody else can connect to
nbformat.write(notebook, "executed.ipynb")
"""


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path, ray_cluster: str) -> None:
    for path in (REPOSITORY / "docs").glob("notebook.*"):
        shutil.copy(path, tmp_path)
    environment = os.environ | {"RAY_ADDRESS": ray_cluster}  # two workers
    environment.pop("MPLBACKEND", None)  # which drawing in this process has set
    own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment |= dict.fromkeys(own, str(tmp_path / "jupyter"))
    command = [sys.executable, "-c", EXECUTE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(tmp_path / "executed.ipynb", as_version=4)

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output["data"]["text/plain"] for output in outputs if "data" in output]
    (line,) = [text for text in texts if "trials done" in text]  # one line, replaced in place
    assert line.startswith("4/4 trials done")
    assert any("Outcome(num_trials=4, num_done=4, num_diverged=0, num_failed=0" in text for text in texts)
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
