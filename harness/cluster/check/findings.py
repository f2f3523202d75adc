"""What was found in a file, a sentence each, and what is looked for in the file of any kind of cluster."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.wording import suggest
from harness.cluster import LOOPBACK
from harness.storage.bucket import SCHEME
from harness.study.yamlfile import FieldPath, find_line, format_path

NODE_LOCAL = ("/tmp", "/var/tmp", "/dev/shm", "/scratch/local", "/local", "/mnt/local", "$TMPDIR", "~", "$HOME")  # noqa: S108 (looked for, not used)
SHARED = re.compile(r"\b(mount(point)?|nfs4?(?!-)|efs|mount-s3|s3fs|gcsfuse|goofys|rclone|lustre|sshfs)\b")
SECRET = re.compile(r"(?:PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY)\w*$", re.IGNORECASE)
ASSIGNED = re.compile(r"\b(\w*(?:PASSWORD|SECRET|_TOKEN|ACCESS_KEY|API_KEY)\w*)=(?![$\s\"']|\"?\$)(\S+)", re.IGNORECASE)
PIP = re.compile(r"pip3? install[^;&|]*")


def find_values(option: str, commands: str) -> list[str]:
    """The values of an option in shell commands, without their quotes."""
    found = re.findall(rf"{option}[= ]+(\"[^\"]*\"|'[^']*'|[^\s\"';&|)]+)", commands)
    return [re.sub("[\"']", "", value) for value in found]


@dataclass
class Findings:
    """What was found in one file."""

    path: Path
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def add(self, where: FieldPath, said: str, line: int | None = None, *, is_fault: bool = True) -> None:
        """Note what is wrong with a field, and the fix. line: of the file, where it is not the field's.

        is_fault: else it is advice, and the file may stay as it is.
        """
        line = line or find_line(self.lines, where)
        place = f"{self.path}:{line}" if line else str(self.path)
        noted = self.sentences if is_fault else self.advice
        noted.append(f"{place}: {format_path(where)}: {said}" if where else f"{place}: {said}")

    def mapping(self, where: FieldPath, given: Any) -> dict[str, Any]:
        """What stands in a field that holds a mapping, empty if nothing does; notes what is none."""
        if given is not None and not isinstance(given, dict):
            self.add(where, "should hold fields of its own, each as `name: value`; indent them below it")
        return given if isinstance(given, dict) else {}

    def mappings(self, where: FieldPath, given: Any) -> list[dict[str, Any]]:
        """What stands in a field that holds a list of mappings; notes what is none."""
        if given is not None and not isinstance(given, list):
            self.add(where, "should be a list, each entry with a dash")
        entries = enumerate(given if isinstance(given, list) else [])
        return [self.mapping((*where, index), entry) for index, entry in entries]

    def check_keys(self, where: FieldPath, given: Any, known: Iterable[str]) -> None:
        """Note each key of a mapping that is not among those known, which would be passed over in silence."""
        names = sorted(known)
        for key in given if isinstance(given, Mapping) else ():
            if key not in names:
                self.add((*where, str(key)), f"unknown key; {suggest(str(key), names)}")

    def check_commands(self, where: FieldPath, commands: str) -> None:
        """Note what is wrong with shell commands wherever they stand."""
        for install in PIP.findall(commands):
            if re.search(r"ray[-_/][^\s]*(latest|nightly|dev)|ray-wheels", install):
                self.add(where, "installs a nightly build of Ray; pin a release, as with -c constraints.txt")
            elif re.search(r"[\s\"']ray(\[[\w,]*\])?[\"'\s]*($|\s)", install) and not re.search(r"-c\s|-r\s", install):
                self.add(where, "installs whatever Ray is the newest; pin it, as with -c constraints.txt")
        for name, _ in ASSIGNED.findall(commands):
            if name != "RAY_AUTH_MODE":
                self.add(where, f"has the value of {name}; put it into a file that only the job's user reads")

    def check_dashboard(self, where: FieldPath, commands: str) -> None:
        """Note a dashboard that is not on this machine's own address."""
        for host in find_values("--dashboard-host", commands):
            if host not in LOOPBACK:
                self.add(
                    where, f"--dashboard-host={host} lets others reach the dashboard, which runs code; write 127.0.0.1"
                )

    def check_results(self, where: FieldPath, commands: str) -> None:
        """Note a folder of results that other nodes would not see."""
        for results in find_values("--results", commands):
            if re.match(SCHEME, results):
                continue
            if not results.startswith(("/", "$", "~")):
                self.add(
                    where, f"--results {results} is relative, and lost with the node; name a folder that is shared"
                )
            elif re.match(rf"({'|'.join(map(re.escape, NODE_LOCAL))})(/|$)", results):
                self.add(where, f"--results {results} is a node's own; name a folder that every node sees")
