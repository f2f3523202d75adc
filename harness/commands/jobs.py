"""Submit studies to a cluster as jobs, and say how far they are."""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from harness.cluster.connect import quieten_ray
from harness.cluster.shipping import pack
from harness.errors import InputError, hide_secrets
from harness.progress import format_duration
from harness.storage.place import Place
from harness.study import Study
from harness.study.file import hide_address

if TYPE_CHECKING:
    from harness.cluster.jobs import Job, Jobs


def open_jobs(address: str) -> "Jobs":
    """The jobs of the cluster whose dashboard is at an address.

    Raises:
        InputError: it is no such address, nothing answers there, it wants a token, or another version of Ray answers.
    """
    quieten_ray()
    from harness.cluster.jobs import Jobs

    return Jobs(address)


def submit_study(
    study: Study,
    study_text: str,
    *,
    address: str,
    results: Place,
    data: Path | None = None,
    env_file: Path | None = None,
) -> str:
    """Submit a study to a cluster; returns the name of its job.

    results: as every node of the cluster sees them. data, env_file: paths on the cluster's head.

    Raises:
        InputError: the cluster does not answer, the results would not outlive the job, or it runs already.
    """
    folder = None if results.is_remote else results.folder
    for option, path in (("--results", folder), ("--data", data), ("--env-file", env_file)):
        if path is not None and not path.is_absolute():
            raise InputError(
                f"{option} {path}: a job runs in a folder that ends with it; give an absolute path, as "
                f"{'every node of' if option == '--results' else 'the head of'} the cluster sees it"
            )
    jobs = open_jobs(address)
    place = os.path.normpath(folder) if folder else results.address
    arguments = ["run", f"{study.name}.yaml", "--results", place]
    arguments += ["--data", str(data)] if data else []
    arguments += ["--env-file", str(env_file)] if env_file else []
    with tempfile.TemporaryDirectory(prefix="spikeslab-job-") as package:
        pack(Path(package), study.name, hide_address(study_text, study), study.loaded_plugins)
        return jobs.submit(study.name, place, Path(package), arguments)


def tabulate_jobs(jobs: "Jobs") -> Table:
    """A row for each study that was submitted to the cluster.

    Raises:
        InputError: there are none.
    """
    found = jobs.list()
    if not found:
        raise InputError(f"{jobs.address}: no study has been submitted there; `spikeslab submit` does it")
    table = Table("job", "state", "for", "results", "progress", box=None, pad_edge=False)
    for job in found:
        table.add_row(job.name, job.status.lower(), _time(job), hide_secrets(job.results), jobs.describe_progress(job))
    return table


def _time(job: "Job") -> str:
    return "" if job.began is None else format_duration(max((job.ended or time.time()) - job.began, 0))
