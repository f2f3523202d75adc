"""check: the tests of this folder and the conformance suite of trainers, on the card."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.gpu.parts import SECONDS, Report

ROOT = Path(__file__).parents[2]
SUITE = ("tests/gpu/test_device.py", "tests/models/training/test_trainers.py", "tests/models/networks/test_conv.py")
COLUMNS = {"suite": "Suite", "passed": "Passed", "failed": "Failed", "skipped": "Skipped", "seconds": "Seconds"}
WORKERS = {"cuda": "4", "cpu": "2"}  # compiling takes the processor, not the card

SANITIZER = "compute-sanitizer"
UNFIT = "Device not supported"
"""What it says on machines where it cannot watch the card, whatever the program."""

LEAST_SECONDS = 20  # that it may have
OUTCOME = re.compile(
    r"^(?:\[gw\d+\].*?(PASSED|FAILED|ERROR|SKIPPED) )?(\S+\.py)::(.+?)(?: (PASSED|FAILED|ERROR|SKIPPED)\b.*)?$"
)
"""A line of pytest -v, with xdist and without."""


def run_check(device: str, out: Path, only: str, tell: Callable[[Report], None]) -> Report:
    """Run the tests in processes of their own; what they print goes to check.log as they run."""
    report, started = Report(COLUMNS), time.perf_counter()
    xml, log = (out / "check.xml").absolute(), out / "check.log"
    xml.unlink(missing_ok=True)
    # Neither conftest.py nor the options of pyproject.toml: they need packages that such a machine may not have.
    options = ["--noconftest", "-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-v", "-ra"]
    # This one is of processors, and takes the digits of a conftest.py.
    chosen = f"({only}) and not denormals" if only else "not denormals"
    command = [sys.executable, "-m", "pytest", *SUITE, *options, "-k", chosen, f"--junitxml={xml}"]
    if importlib.util.find_spec("xdist"):
        command += ["-p", "xdist", "-n", WORKERS[device]]
    status = run_within(SECONDS["check"], command, log, device)
    if status is None:
        report.problems.append(f"the tests took longer than {SECONDS['check']} s: see check.log")
        read_log(log, report)
    elif status not in (0, 1) or not xml.exists():
        report.problems.append(f"pytest ended with {status}: see check.log")
    else:
        read_results(xml, report)
    tell(report)
    if device == "cuda" and not only:
        watch_memory(device, SECONDS["check"] - (time.perf_counter() - started), out, report)
    return report


def run_within(seconds: float, command: list[str], log: Path, device: str) -> int | None:
    """Run a command, what it prints going to a log; None: it took longer, and was ended with all that it began.

    It is a group of its own, so that nothing of it is left on the card, but of our session, which may be ended itself.
    """
    # Other plug-ins of pytest that such a machine has are none of ours.
    environment = {"SPIKESLAB_DEVICE": device, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):  # all of it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def watch_memory(device: str, seconds: float, out: Path, report: Report) -> None:
    """Let compute-sanitizer watch a small step, where there is one that can: it comes last, as it takes long."""
    if shutil.which(SANITIZER) is None:
        report.notes.append(f"{SANITIZER} was left out: this machine has none.")
        return
    if seconds < LEAST_SECONDS:
        report.problems.append(f"no time was left for {SANITIZER}")
        return
    log, started = out / "sanitizer.log", time.perf_counter()
    command = [SANITIZER, "--error-exitcode", "9", sys.executable, "-m", "tests.gpu.small_step"]
    status = run_within(seconds, command, log, device)
    row = {"suite": SANITIZER, "passed": 0, "failed": 0, "skipped": 0, "seconds": time.perf_counter() - started}
    if UNFIT in log.read_text(encoding="utf-8", errors="replace"):
        row["skipped"] = 1
        report.notes.append(f"{SANITIZER} was left out: it says {UNFIT!r} here.")
    elif status is None:
        report.problems.append(f"{SANITIZER} took longer than the {seconds:.0f} s that were left")
    elif status:
        row["failed"] = 1
        report.problems.append(f"{SANITIZER} ended with {status}: see {log.name}")
    else:
        row["passed"] = 1
    report.rows.append(row)


def read_results(xml: Path, report: Report) -> None:
    """Fill a report from pytest's own."""
    for path in SUITE:
        module = path.removesuffix(".py").replace("/", ".")
        row = {"suite": path, "passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0}
        for case in ET.parse(xml).iter("testcase"):
            if not case.get("classname", "").startswith(module):
                continue
            row["seconds"] += float(case.get("time", 0))
            failure = next((each for each in case if each.tag in ("failure", "error")), None)
            if failure is not None:
                row["failed"] += 1
                reason = (failure.get("message") or "").partition("\n")[0]
                report.problems.append(f"{path}::{case.get('name')}: {reason[:300]}")
            else:
                row["skipped" if any(each.tag == "skipped" for each in case) else "passed"] += 1
        report.rows.append(row)
    if not sum(row["passed"] for row in report.rows):
        report.problems.append("no test has passed")


def read_log(log: Path, report: Report) -> None:
    """Fill a report from what pytest has printed until it was ended."""
    keys = {"PASSED": "passed", "FAILED": "failed", "ERROR": "failed", "SKIPPED": "skipped"}
    rows = {path: {"suite": path, "passed": 0, "failed": 0, "skipped": 0} for path in SUITE}
    passed = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = OUTCOME.match(line.rstrip())
        if match is None or match[2] not in rows or not (word := match[1] or match[4]):
            continue
        rows[match[2]][keys[word]] += 1
        if keys[word] == "failed":
            report.problems.append(f"{match[2]}::{match[3]}: {word}")
        if keys[word] == "passed":
            passed.append(f"{match[2]}::{match[3]}")
    report.rows += rows.values()
    report.details["passed"] = passed
