"""Output that fails ends nothing, and letters that a stream lacks are spelled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Spikeslab, command

BEST = command("best", "open-hyperparameters-vsc", "--results", str(REPOSITORY / "studies" / "published"))


@pytest.mark.parametrize(
    "extra",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_letters_that_the_stream_lacks_are_spelled(extra: dict[str, str], environment: dict[str, str]) -> None:
    done = subprocess.run(BEST, env=environment | extra, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"test ELBO -" in done.stdout
    assert b"alpha" in done.stdout
    assert b"?" not in done.stdout


def test_a_path_that_is_no_text_is_shown_all_the_same(folder: Path, environment: dict[str, str]) -> None:
    odd = os.fsdecode(b"r\xe9sultats")  # Latin-1, as an older system wrote it
    shown = subprocess.run(
        command("plot", "gone.yaml", "--results", odd), cwd=folder, env=environment, capture_output=True, check=False
    )
    assert shown.returncode == 2
    assert b"Traceback" not in shown.stderr
    named = subprocess.run(
        command("plot", odd + ".yaml"), cwd=folder, env=environment, capture_output=True, check=False
    )
    assert named.stderr.startswith(b"error: r")
    assert named.stderr.count(b"\n") == 1


def test_a_full_disk_behind_standard_output_is_said(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("data", "list"), env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        2,
        "error: standard output: no space left on device; free some space, and try again\n",
    )


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-", "| true", "2>/dev/full", "2>&1 | true"])
def test_streams_that_are_closed_or_full_cause_no_traceback(closing: str, environment: dict[str, str]) -> None:
    line = f"set -o pipefail; {' '.join(command('data', 'list'))} {closing}"
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_a_neighbour_made_non_blocking_is_waited_for() -> None:
    """Node and others set it on the pipe that all share; a plain print then raises BlockingIOError."""
    code = "from harness.cli.output import make_output_safe as m; m(); print('x' * 1_000_000)"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert len(pipe.read()) == 1_000_001
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_long_lines_stay_whole_where_there_is_no_terminal(spikeslab: Spikeslab, folder: Path) -> None:
    name = "a-very-long-name-of-a-study-that-asks-much"
    (folder / "tiny.yaml").write_text((folder / "tiny.yaml").read_text().replace("name: tiny", f"name: {name}"))
    done = spikeslab("status", "tiny.yaml", COLUMNS="20")
    assert f"{name}: not running\n" in done.stdout
