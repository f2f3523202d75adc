"""Commands about studies on a cluster: submit, jobs, logs, stop."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import FAILED, RESULTS, Overrides, StudyArgument, as_path, as_place, console, format_option
from harness.cluster import DASHBOARD
from harness.commands.console import clean
from harness.interruption import Interrupted
from harness.storage.place import Place

if TYPE_CHECKING:
    from harness.cluster.jobs import Job, Jobs

app = typer.Typer()

Address = Annotated[str, typer.Option(metavar="URL", help="The cluster's dashboard.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The name of a job, such as quickstart-1.")]
Follow = Annotated[bool, typer.Option("--follow", help="Print what comes until it ends; Ctrl-C leaves it running.")]


@app.command(epilog="Example: `spikeslab submit studies/quickstart.yaml --results /mnt/results --follow`")
def submit(
    study: StudyArgument,
    results: Annotated[
        Place,
        typer.Option(
            metavar="DIR",
            help="Folder of results, an absolute path that every node sees, or s3://bucket/path, or gs://bucket/path.",
            parser=as_place,
        ),
    ],
    address: Address = DASHBOARD,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder on the head to look for datasets in first.", parser=as_path),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File on the head with passwords for the job, as in `run`.", parser=as_path),
    ] = None,
    *,
    follow: Follow = False,
    overrides: Overrides = None,
) -> None:
    """Run a study on a Ray cluster as a job that needs this machine no more; running it again resumes it.

    This code, the study and its plug-ins are shipped; data, results and the environment are not.
    """
    from harness.commands.jobs import open_jobs, submit_study
    from harness.commands.notify import explain_unheeded
    from harness.study.file import find_study, format_study_file, load_found

    path = find_study(study, RESULTS.folder)
    loaded = load_found(path, RESULTS.folder, overrides or ())
    text = format_study_file(path, loaded, is_changed=bool(overrides))
    if unheeded := explain_unheeded(loaded):
        console.print(unheeded, soft_wrap=True)
    job = submit_study(loaded, text, address=address, results=results, data=data, env_file=env_file)
    shown, ended = _again("logs", job, address), _again("stop", job, address)
    console.print(f"Submitted as {job}: {shown} shows it, {ended} ends it.", soft_wrap=True)
    if follow:
        _follow(open_jobs(address), job)


@app.command("jobs", epilog="Example: `spikeslab jobs`")
def list_jobs(address: Address = DASHBOARD) -> None:
    """List the studies that were submitted to a cluster, and how far each is."""
    from harness.commands.jobs import open_jobs, tabulate_jobs

    console.print(tabulate_jobs(open_jobs(address)), soft_wrap=True)


@app.command(epilog="Example: `spikeslab logs quickstart-1 --follow`")
def logs(job: JobArgument, address: Address = DASHBOARD, *, follow: Follow = False) -> None:
    """Print what a job has printed; its exit status is the job's, where the job has ended."""
    from harness.commands.jobs import open_jobs

    jobs = open_jobs(address)
    found = jobs.find(job)  # following would wait for one that it does not find, as if the network were gone
    if follow:
        _follow(jobs, job)
        return
    sys.stdout.write(clean(jobs.read_log(job)).rstrip("\n") + "\n")
    _exit_as(found)


@app.command(epilog="Example: `spikeslab stop quickstart-1`")
def stop(job: JobArgument, address: Address = DASHBOARD) -> None:
    """End a job as Ctrl-C ends a run: what trains is stored, and tables are written; submitting again resumes it."""
    from harness.commands.jobs import open_jobs

    jobs = open_jobs(address)
    if (found := jobs.find(job)).has_ended:
        console.print(f"{job} has ended already ({found.status.lower()}).")
        return
    console.print(f"Asked {job} to end; waiting until it has stored what it trains ...")
    found = jobs.stop(job)
    console.print(f"{job}: {found.status.lower()}, {jobs.describe_progress(found) or 'nothing was trained'}")


def _follow(jobs: "Jobs", job: str) -> None:
    text = "\n"
    try:
        for text in jobs.follow(job):
            sys.stdout.write(clean(text))
            sys.stdout.flush()
        sys.stdout.write("" if text.endswith("\n") else "\n")
    except (Interrupted, KeyboardInterrupt):
        console.print(f"\n{job} goes on; {_again('logs', job, jobs.address)} follows it again.")
        raise typer.Exit from None
    _exit_as(jobs.find(job))


def _exit_as(job: "Job") -> None:
    if job.has_ended:
        if job.exit_status is None:  # Ray ended it
            console.print(f"{job.name}: {job.status.lower()}: {job.message.partition(chr(10))[0]}", soft_wrap=True)
        raise typer.Exit(FAILED if job.exit_status is None else job.exit_status)


def _again(command: str, job: str, address: str) -> str:
    options = " --follow" if command == "logs" else ""
    return f"`spikeslab {command} {shlex.quote(job)}{options}{format_option('--address', address, DASHBOARD)}`"
