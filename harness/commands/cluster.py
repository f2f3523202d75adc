"""Check the file that describes a cluster."""

from pathlib import Path

from harness.cluster.check.file import check_file
from harness.cluster.connect import quieten_ray


def check_cluster(path: Path) -> tuple[str, list[str], list[str]]:
    """See `check_file`, which uses Ray's own schema where the file is one of `ray up`."""
    quieten_ray()
    return check_file(path)
