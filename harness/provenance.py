"""What produced a result: the code, the versions, the machine."""

import platform
import socket
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("spikeslab", "torch", "torchvision", "ray", "optuna", "pandas", "mlflow", "numpy")


def describe_provenance() -> Mapping[str, str]:
    """Git commit and dirty state of the code, package versions, Python and host, as MLflow tags."""
    tags = {
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
    }
    for package in PACKAGES:
        try:
            tags[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            tags[f"version.{package}"] = "not installed"
    commit = _git("rev-parse", "HEAD")
    tags["git.commit"] = commit or "not a git checkout"
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["git.dirty"] = "true" if _git("status", "--porcelain") else "false"
    return tags


def _git(*arguments: str) -> str | None:
    """What git says of the checkout this code lies in; None where there is none."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
