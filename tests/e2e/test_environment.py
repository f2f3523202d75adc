"""What other programs leave in the environment and in the current folder does not reach the libraries used here."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Spikeslab, command

UV_RUN = """\
import os, subprocess, sys
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.umask(0o077)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


def clone_into(folder: Path) -> None:
    """Another clone, all of whose code differs in what it does to a trial."""
    for name in ("harness", "models", "analysis"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "harness" / "worker" / "trial_run.py"
    path.write_text("raise RuntimeError('another clone')\n" + path.read_text())


def test_a_local_run_is_the_same_whatever_surrounds_it(folder: Path, environment: dict[str, str]) -> None:
    """All at once, as each run starts Ray: every line below has ended or changed a run, or could."""
    clone_into(folder)
    (folder / "path" / "models").mkdir(parents=True)
    (folder / "path" / "models" / "__init__.py").write_text("raise RuntimeError('a package of the user')\n")
    (folder / "matplotlibrc").write_text("backend: nonsense\nfont.size: huge\n")
    scratch = folder / "scratch_for_a_long_user_name" / "slurm_jobdir" / "1355700" / "tmp.t0016"
    (scratch / "ray").mkdir(parents=True)
    (scratch / "ray" / "ray_current_cluster").write_text("192.0.2.2:6399")  # as a `ray start` leaves it that was killed
    (folder / "run").write_text(UV_RUN)
    (folder / "uv").symlink_to(sys.executable)
    extra = {
        "PYTHONPATH": str(folder / "path"),
        "PYTHONWARNINGS": "error",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TMPDIR": str(scratch),
        "HOME": "/dev/null",
        "RAY_RUNTIME_ENV_HOOK": "nonsense.hook",
        "RAY_AIR_LOCAL_CACHE_DIR": str(folder / "air"),
        "TUNE_RESULT_DIR": str(folder / "tune"),
        "TUNE_RESULT_BUFFER_LENGTH": "1000",
        "TUNE_MAX_PENDING_TRIALS_PG": "nonsense",
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_RUN_ID": "77",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_LOGGING_LEVEL": "nonsense",
        "OPTUNA_STORAGE": "nonsense://x",
    }
    arguments = command("run", "tiny.yaml", "--set", "epochs=1", "--set", "seeds=[0]")
    kept = {k: v for k, v in environment.items() if k not in ("RAY_AUTH_MODE", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [str(folder / "uv"), "run", *arguments],
        cwd=folder,
        env=kept | extra,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 of 4 trials done (4 trained or measured now)" in done.stdout
    assert len(list((folder / "results/tiny/figures").glob("*.png"))) == 6
    written = [path for path in (folder / "results").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert not (folder / "air").exists()
    # Nothing in the results says where they lie, but MLflow's database, which is corrected where they are copied.
    naming = [path.name for path in written if str(folder).encode() in path.read_bytes()]
    assert set(naming) <= {"mlflow.db"}


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A study that can be drawn, in a folder of results."""
    shutil.copytree(REPOSITORY / "studies/published/traversals", tmp_path / "results" / "traversals")
    return tmp_path


@pytest.mark.parametrize(
    "extra",
    [
        {
            "MPLBACKEND": "module://no_such_package.backend",
            "HOME": "/dev/null",
            "MPLCONFIGDIR": "/dev/null/x",
            "XDG_CACHE_HOME": "/dev/null",
            "XDG_CONFIG_HOME": "/dev/null",
            "PYTHONPATH": "clone",
        },
        {"MPLBACKEND": "nonsense", "PYTHONSAFEPATH": "1", "PYTHONDEVMODE": "1"},
        {"MPLBACKEND": "TkAgg", "DISPLAY": ":77", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"},
        {"MATPLOTLIBRC": "matplotlibrc", "TMPDIR": "/no/such/folder"},
    ],
    ids=" ".join,
)
def test_figures_are_drawn_in_any_environment(drawn: Path, spikeslab: Spikeslab, extra: dict[str, str]) -> None:
    """Together what hides no other: a backend hides a matplotlibrc's, and without a home TMPDIR takes its place.

    PYTHONSAFEPATH leaves out what PYTHONPATH could precede, and the other variables of Python's silence warnings.
    """
    if extra.get("PYTHONPATH"):
        for name in ("models", "analysis"):
            (drawn / "clone" / name).mkdir(parents=True)
            (drawn / "clone" / name / "__init__.py").write_text("raise RuntimeError('a package of the user')\n")
    if extra.get("MATPLOTLIBRC"):
        (drawn / "matplotlibrc").write_text("backend: nonsense\nno.such.key: 3\nfigure.dpi: many\n")
    done = spikeslab("plot", "traversals", **extra)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((drawn / "results/traversals/figures").glob("*.png"))


def test_a_matplotlibrc_that_is_no_text_is_one_sentence(drawn: Path, spikeslab: Spikeslab) -> None:
    (drawn / "matplotlibrc").write_bytes(b"\xff\xfe\x00")
    done = spikeslab("plot", "traversals")
    assert done.returncode == 2
    assert done.stderr.startswith("error: matplotlibrc: matplotlib cannot read it")
    assert done.stderr.count("\n") == 1


def test_help_and_bad_input_are_told_without_docstrings(spikeslab: Spikeslab) -> None:
    assert spikeslab("--help", PYTHONOPTIMIZE="2").returncode == 0
    done = spikeslab("plan", "tiny.yaml", "--set", "epochs=none", PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = spikeslab("run", "tiny.yaml", PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert done.stderr.startswith("error: PYTHONOPTIMIZE, or python -OO, strips docstrings")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "extra",
    [
        {"MPLBACKEND": "nonsense"},
        {"MATPLOTLIBRC": "/no/such/file"},
        {"RAY_TMPDIR": "/no/such/folder"},
        {"RAY_RUNTIME_ENV_HOOK": "nonsense.hook"},
        {"RAY_AUTH_MODE": "nonsense"},
        {"TMPDIR": "/no/such/folder"},
        {"MLFLOW_RUN_ID": "77"},
        {"MLFLOW_TRACKING_URI": "nonsense://x"},
        {"MLFLOW_LOGGING_LEVEL": "nonsense"},
        {"OPTUNA_STORAGE": "nonsense://x"},
        {"FORCE_COLOR": "1"},
        {"TERM": "nonsense"},
        {"COLUMNS": "nonsense"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "nonsense"},
        {"HOME": "/dev/null"},
        {"OMP_NUM_THREADS": "nonsense"},
        {"CUDA_VISIBLE_DEVICES": "nonsense"},
    ],
    ids=" ".join,
)
def test_no_variable_brings_a_traceback_to_a_run(folder: Path, spikeslab: Spikeslab, extra: dict[str, str]) -> None:
    """One at a time: the study is done, or one sentence says why not."""
    done = spikeslab("run", "tiny.yaml", "--set", "epochs=1", "--set", "seeds=[0]", **extra)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in (0, 2)
    assert done.returncode == 0 or done.stderr.startswith("error: ")
    assert done.returncode == 2 or "4 of 4 trials done" in done.stdout
