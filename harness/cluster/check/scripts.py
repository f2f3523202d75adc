"""Scripts of Slurm that start Ray with `ray symmetric-run`, and tasks of SkyPilot."""

import re
import subprocess
from collections.abc import Iterable
from typing import Any

from harness.cluster.check.findings import SECRET, Findings, find_values
from harness.storage.bucket import SCHEME

# fmt: off
TASK_KEYS = (
    "config", "envs", "event_callback", "experimental", "file_mounts", "inputs", "name", "num_nodes", "outputs", "pool",
    "resources", "run", "secrets", "service", "setup", "volumes", "workdir",
)
RESOURCE_KEYS = (
    "accelerator_args", "accelerators", "any_of", "autostop", "cloud", "cpus", "disk_size", "disk_tier", "image_id",
    "infra", "instance_type", "job_recovery", "labels", "max_hourly_cost", "memory", "network_tier", "ordered", "ports",
    "priority", "region", "use_spot", "zone",
)
# fmt: on
DASHBOARD_PORT, SKYPILOT_PORT = "8265", "6380"  # that of SkyPilot's own Ray


def check_slurm(text: str, findings: Findings) -> None:
    """Note what is wrong with a script for sbatch."""
    done = subprocess.run(["bash", "-n", str(findings.path)], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, S607 (it is parsed, not run)
    if done.returncode:
        findings.add((), f"no shell script: {done.stderr.strip().splitlines()[0].rpartition(': ')[2]}; mend it")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    directives = " ".join(re.findall(r"^#SBATCH\s+(.*)$", text, re.MULTILINE))
    if "ray symmetric-run" not in code:
        findings.add((), "starts no `ray symmetric-run`; begin with docs/clusters/slurm.sh")
    if not re.search(r"--ntasks-per-node[= ]1\b", directives):
        findings.add((), "#SBATCH --ntasks-per-node=1 is missing: each node is to run one Ray; add it")
    if not re.search(r"--signal[= ]", directives):
        findings.add((), "#SBATCH --signal=B:TERM@120 is missing: without a warning nothing is stored in time; add it")
    elif (warning := re.search(r"--signal[= ]B:(?:SIG)?(\w+)", directives)) is None:
        findings.add((), "--signal without B: ends Ray at once, and nothing is stored; write --signal=B:TERM@120")
    elif not re.search(rf"^\s*trap\b.*\s(?:SIG)?{warning[1]}\b[^'\"]*$", code, re.MULTILINE):
        findings.add((), f"passes the warning of --signal on to nobody; trap {warning[1]}, see docs/clusters/slurm.sh")
    if "RAY_AUTH_MODE=token" not in code:
        findings.add((), "whoever reaches the nodes runs code; write export RAY_AUTH_MODE=token")
    if not re.search(r"\bRAY_TMPDIR=|--temp-dir\b", code):
        findings.add((), "Ray uses /tmp/ray, where every user of a node may write; export RAY_TMPDIR, a folder of the "
                     "job's own, see docs/clusters/slurm.sh")  # fmt: skip
    if "RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT" not in code:
        findings.add((), "Ray waits 30 s for all nodes; export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300")
    if "ray symmetric-run" in code and "--min-nodes" not in code:
        findings.add((), 'the study begins before all nodes are there; add --min-nodes "$SLURM_JOB_NUM_NODES"')
    findings.check_dashboard((), code)
    if "--results" not in code:
        findings.add((), "has no --results; name a folder that every node sees")
    findings.check_results((), code)
    findings.check_commands((), code)


def check_skypilot(content: dict[str, Any], findings: Findings) -> None:
    """Note what is wrong with a task of SkyPilot."""
    findings.check_keys((), content, TASK_KEYS)
    resources = findings.mapping(("resources",), content.get("resources"))
    findings.check_keys(("resources",), resources, RESOURCE_KEYS)
    if DASHBOARD_PORT in re.findall(r"\d+", str(resources.get("ports"))):
        findings.add(
            ("resources", "ports"), f"{DASHBOARD_PORT} makes the dashboard public; remove it, and use `sky ssh`"
        )
    for name, value in findings.mapping(("envs",), content.get("envs")).items():
        if SECRET.search(str(name)) and value:
            findings.add(("envs", str(name)), "its value stands in the file; name it under secrets, without one")
    for field in ("setup", "run"):
        commands = str(content.get(field) or "")
        findings.check_commands((field,), commands)
        if re.search(r"^\s*ray stop\b", commands, re.MULTILINE):
            findings.add((field,), "`ray stop` ends SkyPilot's own Ray, too; remove it")
        if SKYPILOT_PORT in find_values("--port", commands):
            findings.add((field,), f"port {SKYPILOT_PORT} is that of SkyPilot's own Ray; choose another")
        if "ray start" in commands and "RAY_AUTH_MODE=token" not in commands:
            findings.add((field,), "starts Ray without its token; write RAY_AUTH_MODE=token ray start")
        findings.check_dashboard((field,), commands)
    run = str(content.get("run") or "")
    findings.check_results(("run",), run)
    buckets = [str(target) for target, source in findings.mapping(("file_mounts",), content.get("file_mounts")).items()
               if isinstance(source, dict) and str(source.get("mode", "MOUNT")).startswith("MOUNT")]  # fmt: skip
    volumes = list(map(str, findings.mapping(("volumes",), content.get("volumes"))))
    results = find_values("--results", run)
    if any(re.match(SCHEME, place) for place in results):
        return
    folder = next((place for place in results if place.startswith("/")), None)
    if folder is None:
        findings.add(
            ("run",), "has no --results with an absolute path; name a bucket (s3://bucket/path) or a volume's folder"
        )
    elif _is_below(folder, buckets):
        findings.add(
            ("run",),
            f"--results {folder} is a mounted bucket, in which no database can be written; write --results "
            "s3://bucket/path, and mount nothing",
        )
    elif not _is_below(folder, volumes):
        findings.add(("run",), f"--results {folder} ends with the nodes; name a bucket (s3://bucket/path) or a volume")


def _is_below(folder: str, mounted: Iterable[str]) -> bool:
    return any(f"{folder}/".startswith(f"{target.rstrip('/')}/") for target in mounted)
