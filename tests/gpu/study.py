"""study: whole studies through Ray on the card, by the command line, as a user would run them."""

import importlib.util
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gpu.parts import SECONDS, Report

ROOT = Path(__file__).parents[2]
NEEDED = ("ray", "pydantic", "yaml", "typer", "rich", "optuna", "pandas", "pyarrow", "matplotlib", "platformdirs")
SHARES = ("auto", "0.02")
STUDIES = {"quickstart": [], "elbo-vs-latent-dim": ["seeds=[0]"]}
"""The quickstart, and the report's Figure 1: 25 latent dimensions, a VAE and three VSCs, one seed."""

FIGURE_1_SECONDS = 120
COLUMNS = {"study": "Study", "gpu": "gpu", "seconds": "Seconds, all in all", "status": "Exit status", "last": "It said"}


def run_study(device: str, out: Path, only: str, tell: Callable[[Report], None]) -> Report:
    """Run each study with each share of the card, telling of each as soon as it is done."""
    report = Report(COLUMNS)
    if lacking := find_lacking():
        report.notes.append(f"study was left out: this machine lacks {', '.join(lacking)}.")
        return report
    started = time.perf_counter()
    for name, share, command in list_commands(device, out):
        left = SECONDS["study"] - (time.perf_counter() - started)
        if left < 10:
            report.problems.append(f"no time was left for {name} with gpu: {share}")
            continue
        report.rows.append(run_command(name, share, command, left, out))
        if report.rows[-1]["status"] != 0:
            report.problems.append(f"{name} with gpu: {share} ended with {report.rows[-1]['status']}")
        tell(report)
    for row in report.rows:
        if row["study"] == "elbo-vs-latent-dim" and row["status"] == 0:
            verdict = "met" if row["seconds"] <= FIGURE_1_SECONDS else "MISSED"
            report.notes.append(f"- Figure 1 with gpu: {row['gpu']} in at most {FIGURE_1_SECONDS} s: {verdict}.")
    return report


def find_lacking() -> list[str]:
    """What the command line needs and this machine has not."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def list_commands(device: str, out: Path) -> list[tuple[str, str, list[str]]]:
    """The study, its share of the card, and the command that runs it into a folder of results of its own."""
    program = [sys.executable, "-c", "from harness.cli.main import main; main()", "run"]
    if device == "cpu":  # a rehearsal
        studies, shares, small = {"quickstart": []}, ("0",), ["epochs=1", "resources.cpu=0.25", "seeds=[0]"]
    else:
        studies, shares, small = STUDIES, SHARES, []
    commands = []
    for share in shares:
        for name, changes in studies.items():
            results = str((out / f"results-gpu-{share}").absolute())
            sets = [f"--set={change}" for change in (f"resources.gpu={share}", *changes, *small)]
            commands.append((name, share, [*program, f"studies/{name}.yaml", "--results", results, *sets]))
    return commands


def run_command(name: str, share: str, command: list[str], timeout: float, out: Path) -> dict[str, Any]:
    """Run one, what it prints going to a log; returns its row."""
    log = out / f"study-{name}-gpu-{share}.log"
    environment = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        print(shlex.join(command), file=file, flush=True)
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            status: int | str = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.terminate()  # as Ctrl-C: it stores what was trained, and ends Ray
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            status = f"stopped after {timeout:.0f} s"
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    seconds = time.perf_counter() - started
    return {"study": name, "gpu": share, "seconds": seconds, "status": status, "last": lines[-1][:200]}
