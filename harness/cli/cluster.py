"""`spikeslab cluster`: the files that describe one."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import BAD_INPUT, as_path, console, print_error

app = typer.Typer(
    help="Clusters: what is wrong with the file that describes one.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def _cluster() -> None:
    pass


@app.command(epilog="Example: `spikeslab cluster check cluster.yaml`")
def check(
    file: Annotated[
        Path, typer.Argument(metavar="CLUSTER_FILE", help="Of ray up, KubeRay, Slurm or SkyPilot.", parser=as_path)
    ],
) -> None:
    """Say what is wrong with a cluster's file, a sentence for each fault, before anything is started or paid for."""
    from harness.cluster.check.file import check_file
    from harness.cluster.connect import quieten_ray

    quieten_ray()  # a file of `ray up` is checked by the schema of Ray, which is imported for it
    kind, faults, notes = check_file(file)
    for sentence in notes:
        console.print(sentence, soft_wrap=True)
    for sentence in faults:
        print_error(sentence)
    if faults:
        raise typer.Exit(BAD_INPUT)
    console.print(f"{file}: {kind}; nothing {'else ' if notes else ''}is wrong with it.", soft_wrap=True)
