"""What a study has come to, wherever its results are, and whether it is what it should be."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from harness.storage.objects import Objects
from tests.e2e.conftest import command
from tests.real_cluster.services import make_environment

NOT_OF_THE_MODEL = ("seconds", "hours", "memory", "began", "ended", "mlflow", "run_id", "time")

Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Of trials, and of their epochs."""


def read_files(place: str, end: str, *, names_only: bool = False) -> dict[str, bytes]:
    """Read the files whose names end so, by their paths in a folder.

    place: the folder, or its address in a bucket. names_only: leave out what they hold.
    """
    read: Callable[[str], bytes]
    if "://" in place:
        objects = Objects(place, 5.0, 5.0)
        names, read = [one.key for one in objects.list()], objects.read
    else:
        folder = Path(place)
        names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        read = lambda name: (folder / name).read_bytes()  # noqa: E731
    return {name: b"" if names_only else read(name) for name in names if name.endswith(end)}


def read_results(place: str) -> Tables:
    """Read a study's tables without what a clock says. place: the study's folder, or its address in a bucket."""
    found = read_files(place, ".parquet")
    tables = []
    for name, keys in (("trials", ["trial_id"]), ("history", ["trial_id", "epoch"])):
        table = pd.read_parquet(io.BytesIO(found[f"{name}.parquet"]))
        kept = [column for column in table if not any(word in column for word in NOT_OF_THE_MODEL)]
        tables.append(table[kept].sort_values(keys).reset_index(drop=True))
    return tables[0], tables[1]


def run_undisturbed(folder: Path, study: str) -> Tables:
    """Run a study, whose file is in the folder, on this machine alone."""
    words, environment = command("run", f"{study}.yaml"), make_environment()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return read_results(str(folder / "results" / study))


def check_equal(found: Tables, expected: Tables) -> None:
    """Check that tables are complete, and equal to others to the bit."""
    for got, wanted in zip(found, expected, strict=True):
        assert len(wanted.columns) > 5
        pd.testing.assert_frame_equal(got, wanted, check_exact=True, check_like=True)
