"""The MLflow UI on a study's store, seen through a real browser."""

import re
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from harness.tracking.mlflow_store import MlflowStore
from tests.e2e.browser import CHROMIUM, WITHOUT_BROWSER, browse
from tests.e2e.conftest import Spikeslab, command
from tests.e2e.test_mlflow_server import ask


@pytest.fixture
def server(folder: Path, environment: dict[str, str], spikeslab: Spikeslab, ray_cluster: str) -> Iterator[str]:
    """`spikeslab ui` on a study of two trials; its address."""
    less = ("seeds=[0]", "figures=[convergence]", "resources.cpu=2")
    words = [word for change in less for word in ("--set", change)]
    done = spikeslab("run", "tiny.yaml", *words, "--address", ray_cluster)
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command("ui", "--port", str(port)),
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield address
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(children, timeout=30)  # they end with it
    assert (len(children) > 0, alive) == (True, [])


@pytest.fixture
def read(server: str, tmp_path: Path) -> Callable[[str], str]:
    """The text of a page of the UI, once its scripts have run; keeps a screenshot beside it."""

    def read(route: str) -> str:
        picture = (tmp_path / re.sub(r"\W+", "-", route)).with_suffix(".png")
        flags = ("--window-size=1400,1000", "--virtual-time-budget=30000", f"--screenshot={picture}")
        page = browse(f"{server}/#/{route}", tmp_path / "browser", *flags)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))

    return read


def test_what_keeps_the_ui_from_starting_is_said(spikeslab: Spikeslab, folder: Path) -> None:
    (folder / "results").mkdir()
    store = MlflowStore("tiny", folder / "results")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = spikeslab("ui", "--port", str(port))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: --port {port}: address already in use; choose another port")
    with closing(sqlite3.connect(folder / "results/mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    done = spikeslab("ui", "--port", str(port))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"run `mlflow db upgrade {store.uri}`" in done.stderr
    secret = spikeslab("ui", MLFLOW_TRACKING_URI="http://alice:s3cret@127.0.0.1:9/")
    assert "open http://***@127.0.0.1:9/ in a browser" in secret.stdout
    secret = spikeslab("ui", MLFLOW_TRACKING_URI="nodb://alice:s3cret@127.0.0.1:9/")
    assert secret.returncode == 2
    assert "s3cret" not in secret.stdout + secret.stderr


def test_the_ui_shows_parent_children_params_curves_and_figures_on_this_machine_only(
    server: str, folder: Path, read: Callable[[str], str]
) -> None:
    port = int(server.rpartition(":")[2])
    listening = {c.laddr.ip for c in psutil.net_connections("inet") if c.laddr.port == port and c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    assert [ask(server, host) for host in (f"localhost:{port}", "localhost:7000", "10.evil.example")] == [200, 200, 403]
    if CHROMIUM is None:
        pytest.skip(f"the rest {WITHOUT_BROWSER}")

    store = MlflowStore("tiny", folder / "results", create=False)
    store.open()
    child = store._search("tags.`spikeslab.kind` = 'trial'")[0]
    runs = read(f"experiments/{store.experiment_id}/runs?viewStateShareKey=spikeslab")
    assert "tiny" in runs
    assert "4 matching runs" in runs  # the trials without their parent

    overview = read(f"experiments/{store.experiment_id}/runs/{child.info.run_id}")
    assert child.data.tags["mlflow.runName"] in overview
    assert "Parent run tiny" in overview
    for parameter, value in child.data.params.items():
        assert f"{parameter} {value}" in overview
    assert f"test/elbo {child.data.metrics['test/elbo']}" in overview

    curves = read(f"experiments/{store.experiment_id}/runs/{child.info.run_id}/model-metrics")
    sections = Counter(name.rpartition("/")[0] for name in child.data.metrics if "/" in name)
    assert {"train", "test", "final"} <= sections.keys()
    assert all(f"{section} ({num})" in curves for section, num in sections.items())

    figures = read(f"experiments/{store.experiment_id}/runs/{store.parent_id}/artifacts/figures/convergence.png")
    assert "figures/convergence.png" in figures
    assert all(name in figures for name in ("tables", "study.yaml", "resolved.json"))
