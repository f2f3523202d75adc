"""One Ray cluster for all tests of a process that need one, and nothing of the user's own settings."""

import os

# Before anything imports Ray, MLflow or this project.
os.environ["RAY_AUTH_MODE"] = "disabled"  # else Ray writes a token under the user's home
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("RAY_ADDRESS", None)
if "PYTEST_XDIST_WORKER" in os.environ:  # two at once: torch's threads of one would wait for those of the other
    os.environ["OMP_NUM_THREADS"] = "1"

import gc
import io
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from harness.commands.outcome import Outcome
from harness.storage.place import Folder
from harness.study import Study

pytest_plugins = ["tests.s3", "tests.gcs"]

# How long an example takes on a busy machine is no property of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among what is imported: tests take a tenth less time."""
    gc.freeze()
    gc.set_threshold(100_000)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """A cluster of two cores on this machine; its address."""
    import ray

    from harness.cluster.connect import connect, quieten_ray

    quieten_ray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        connect(None, num_cpus=2)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture(scope="session")
def copy_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Make MLflow's database, as `make_database` does, but as a copy: MLflow takes a second to make one."""
    from harness.tracking.local_store import make_database

    template = tmp_path_factory.mktemp("mlflow") / "mlflow.db"

    def copy(path: Path) -> None:
        make_database(template)
        if not path.exists():
            shutil.copy(template, path)
        make_database(path)

    return copy


Run = Callable[..., tuple[Outcome, str]]


@pytest.fixture(scope="session")
def run_in(ray_cluster: str, copy_database: Callable[[Path], None]) -> Run:
    """Run a study on the shared cluster, with its results in a folder; returns how it ended and what it printed."""
    from harness.commands.run import run_study
    from harness.study.file import dump_study

    def run(study: Study, results: Path) -> tuple[Outcome, str]:
        output = io.StringIO()
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            # Ray and MLflow warn of their own affairs; ours are errors in the tests of our own code.
            warnings.simplefilter("ignore")
            patch.setattr("harness.tracking.mlflow_store.make_database", copy_database)
            outcome = run_study(
                study, dump_study(study), results=Folder(results), console=Console(file=output, width=200)
            )
        return outcome, output.getvalue()

    return run


@pytest.fixture
def run(run_in: Run, tmp_path: Path) -> Run:
    """Run a study as `run_in` does, in the test's own folder unless another is given."""
    return lambda study, results=tmp_path / "results": run_in(study, results)
