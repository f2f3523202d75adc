"""Check the file of a cluster, of whichever kind it is."""

import re
from pathlib import Path

from harness.cluster.check.findings import Findings
from harness.errors import InputError
from harness.paths import read_text
from harness.study.yamlfile import read_yaml_mapping

PLACEHOLDER = re.compile(r"[\w./-]*CHANGE-ME[\w./-]*")


def check_file(path: Path) -> tuple[str, list[str], list[str]]:
    """Check a cluster's file: which kind it is, what is wrong with it, and what is still to be filled in, or advised.

    Raises:
        InputError: it cannot be read, or is of no kind that is known.
    """
    text = read_text(path, "name the file of a cluster")
    unfilled = [
        f"{path}:{number}: {name.strip('/')}: still to be filled in"
        for number, line in enumerate(text.splitlines(), 1)
        if not line.lstrip().startswith("#")
        for name in PLACEHOLDER.findall(line)
    ]
    if text.startswith("#!"):
        from harness.cluster.check.scripts import check_slurm

        findings = Findings(path)
        check_slurm(text, findings)
        return "a script of Slurm", findings.sentences, unfilled
    content, lines = read_yaml_mapping(text, path)
    findings = Findings(path, lines)
    if "apiVersion" in content or "kind" in content:
        from harness.cluster.check.kuberay import check_kuberay

        check_kuberay(content, findings)
        kind = f"a {content.get('kind')} of KubeRay"
    elif "cluster_name" in content or "provider" in content:
        from harness.cluster.check.ray_up import check_ray_up

        check_ray_up(content, findings)
        kind = "a cluster of `ray up`"
    elif {"run", "resources", "num_nodes"} & set(content):
        from harness.cluster.check.scripts import check_skypilot

        check_skypilot(content, findings)
        kind = "a task of SkyPilot"
    else:
        raise InputError(f"{path}: not the file of a cluster; those of `ray up`, KubeRay, Slurm and SkyPilot are known")
    return kind, list(dict.fromkeys(findings.sentences)), [*unfilled, *findings.advice]
