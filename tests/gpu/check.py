"""check: the tests of this folder and the conformance suite of trainers, on the card."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.gpu.parts import SECONDS, Report

ROOT = Path(__file__).parents[2]
SUITE = ("tests/gpu/test_device.py", "tests/models/training/test_trainers.py", "tests/models/networks/test_conv.py")
COLUMNS = {"suite": "Suite", "passed": "Passed", "failed": "Failed", "skipped": "Skipped", "seconds": "Seconds"}


def run_check(device: str, out: Path, only: str, tell: Callable[[Report], None]) -> Report:
    """Run the tests in processes of their own; what they print goes to check.log as they run."""
    report = Report(COLUMNS)
    xml, log = (out / "check.xml").absolute(), out / "check.log"
    xml.unlink(missing_ok=True)
    # Neither conftest.py nor the options of pyproject.toml: they need packages that such a machine may not have.
    options = ["--noconftest", "-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-v", "-ra"]
    # This one is of processors, and takes the digits of a conftest.py.
    chosen = f"({only}) and not denormals" if only else "not denormals"
    command = [sys.executable, "-m", "pytest", *SUITE, *options, "-k", chosen, f"--junitxml={xml}"]
    if device == "cuda" and importlib.util.find_spec("xdist"):
        command += ["-n", "4"]  # compiling takes the processor, not the card
    with log.open("w", encoding="utf-8") as file:
        try:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | {"SPIKESLAB_DEVICE": device},
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=SECONDS["check"],
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            report.problems.append(f"the tests took longer than {SECONDS['check']} s: see check.log")
            return report
    if status not in (0, 1) or not xml.exists():
        report.problems.append(f"pytest ended with {status}: see check.log")
        return report
    read_results(xml, report)
    return report


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
