"""The script for Slurm, with stand-ins for Slurm, Ray and a study: who is told that the job's time is almost over."""

import os
import subprocess
import time
from pathlib import Path

from tests.test_repository import ROOT

STAND_INS = {
    "scontrol": "echo this-node",
    "srun": 'trap "echo told >> srun" TERM; echo "$*" >> words; shift; "$@" & wait $! || wait $!',
    "ray": 'trap "echo told >> ray" TERM; while [ "$1" != -- ]; do shift; done; shift; "$@"',
    "spikeslab": 'trap "echo stored; exit 143" TERM; echo "study $*" >> words; for _ in {1..300}; do sleep 0.1; done',
}


def test_the_warning_of_slurm_reaches_the_driver_alone_and_the_job_ends_once_it_has_stored(tmp_path: Path) -> None:
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    for name, does in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{does}\n")
        (programs / name).chmod(0o755)
    slurm = {"JOB_ID": "7", "JOB_NODELIST": "this-node", "JOB_NUM_NODES": "2", "CPUS_PER_TASK": "8"}
    variables = {f"SLURM_{name}": value for name, value in slurm.items()}
    variables |= {"SLURM_SUBMIT_DIR": str(tmp_path), "HOME": str(tmp_path)}
    job = subprocess.Popen(
        ["bash", ROOT / "docs" / "clusters" / "slurm.sh", "study.yaml"],
        cwd=tmp_path,
        env=os.environ | variables | {"PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    )
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
    step, study = words.read_text().splitlines()
    assert step.startswith("--cpus-per-task=8 ray symmetric-run --address this-node:20007 --min-nodes 2 --num-cpus 8 ")
    assert study == f"study run study.yaml --address auto --results {tmp_path}/results"
