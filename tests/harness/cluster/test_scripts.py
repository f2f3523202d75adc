"""The scripts of Slurm and SkyPilot, with stand-ins for these, Ray and a study: how a job ends."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.study.yamlfile import read_yaml_mapping
from tests.test_repository import ROOT

CLUSTERS = ROOT / "docs" / "clusters"
WAIT = "for _ in {1..300}; do sleep 0.1; done"


def start(
    script: Path, folder: Path, programs: Mapping[str, str], variables: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start a script. programs: their names, and what they do."""
    found = folder / "venv" / "bin"
    found.mkdir(parents=True)
    (found / "activate").touch()
    for name, does in programs.items():
        (found / name).write_text(f"#!/bin/bash\n{does}\n")
        (found / name).chmod(0o755)
    env = os.environ | variables | {"HOME": str(folder), "PATH": f"{found}:{os.environ['PATH']}"}
    words = ["bash", str(script), "study.yaml"]
    return subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)


def test_the_warning_of_slurm_reaches_the_driver_alone_and_the_job_ends_once_it_has_stored(tmp_path: Path) -> None:
    programs = {
        "scontrol": "echo this-node",
        "mkdir": ":",
        "srun": 'trap "echo told >> srun" TERM; echo "$*" >> words; shift; "$@" & wait $! || wait $!',
        "ray": 'trap "echo told >> ray" TERM; while [ "$1" != -- ]; do shift; done; shift; "$@"',
        "spikeslab": f'trap "echo stored; exit 143" TERM; echo "study $RAY_TMPDIR $*" >> words; {WAIT}',
    }
    slurm = {"JOB_ID": "7", "JOB_NODELIST": "this-node", "JOB_NUM_NODES": "2", "CPUS_PER_TASK": "8"}
    slurm |= {"SUBMIT_DIR": str(tmp_path)}
    job = start(CLUSTERS / "slurm.sh", tmp_path, programs, {f"SLURM_{name}": value for name, value in slurm.items()})
    words, deadline = tmp_path / "words", time.monotonic() + 60
    while not (words.exists() and "study " in words.read_text().splitlines()[-1]):
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job.terminate()  # as --signal=B:TERM@120 does
    said, _ = job.communicate(timeout=60)
    assert said == "stored\n"
    assert not (tmp_path / "srun").exists()
    assert not (tmp_path / "ray").exists()
    assert not list(tmp_path.glob(".[a-z]*")), "neither the token nor the driver's number stays"
    making, step, study = words.read_text().splitlines()
    assert making == "--ntasks-per-node=1 mkdir -m 700 /tmp/spikeslab-7-0", "where Ray opens its folder to all"
    assert step.startswith("--cpus-per-task=8 ray symmetric-run --address this-node:20007 --min-nodes 2 --num-cpus 8 ")
    assert study == f"study /tmp/spikeslab-7-0 run study.yaml --address auto --results {tmp_path}/results"


@pytest.mark.parametrize(("rank", "status"), [("0", 3), ("1", 0)])
def test_a_job_of_skypilot_ends_on_each_node_and_is_as_its_study_was(tmp_path: Path, rank: str, status: int) -> None:
    content, _ = read_yaml_mapping((CLUSTERS / "skypilot.yaml").read_text(), CLUSTERS / "skypilot.yaml")
    (tmp_path / "run.sh").write_text(content["run"])
    programs = {
        # On another node than the head's, Ray ends as it finds that the head has; this one is told.
        "ray": '[[ "$1" == start ]] || exit 0; [[ "$*" == *--head* ]] || exit 1; '
        f'trap "echo ended; exit" TERM; touch begun; {WAIT}',
        "spikeslab": "until [ -e begun ]; do sleep 0.1; done; exit 3",
    }
    variables = {"NODE_IPS": "10.0.0.1\n10.0.0.2", "NODE_RANK": rank, "NUM_GPUS_PER_NODE": "1"}
    job = start(
        tmp_path / "run.sh", tmp_path, programs, {f"SKYPILOT_{name}": value for name, value in variables.items()}
    )
    said, _ = job.communicate(timeout=20)
    assert (job.returncode, said) == (status, "ended\n" if rank == "0" else "")
