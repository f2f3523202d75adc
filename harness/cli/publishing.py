"""The command `publish`: keep the tables of many studies in a folder of a repository."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import FAILED, PUBLISHED, Data, as_path, console

LIST = Path("studies/published.yaml")
RESULTS = Path("results/publish")

app = typer.Typer()


@app.command(epilog="Example: `spikeslab publish --plan`, or `spikeslab publish studies/published.yaml --hours 2`")
def publish(
    file: Annotated[Path, typer.Argument(metavar="[LIST]", help="The studies, in order of worth.", parser=as_path)] = (
        LIST
    ),
    into: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the tables that are kept.", parser=as_path)
    ] = PUBLISHED.folder,
    results: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of results, where the studies are trained.", parser=as_path)
    ] = RESULTS,
    data: Data = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster, such as auto; else $RAY_ADDRESS, or this machine.")
    ] = None,
    *,
    hours: Annotated[float | None, typer.Option(min=0, help="Stop after these, and go on another time.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what is left and for how long; nothing starts.")] = False,
) -> None:
    """Train what a list of studies lacks, and keep their tables, records and exhibits.

    What is kept needs no states: another machine takes the finished trials over from it and trains the others.
    """
    from harness.commands.publish import plan_publication, publish_studies, read_list, tabulate

    publications = plan_publication(read_list(file), into=into, results=results)
    if plan:
        console.print(tabulate(publications), soft_wrap=True)
        return
    if not publish_studies(publications, console, data_dir=data, address=address, hours=hours):
        console.print(f"Not all of it is trained: `spikeslab publish {file} --plan` says what is left.", soft_wrap=True)
        raise typer.Exit(FAILED if hours is None else 0)
    console.print(f"All of it is published in {into}.", soft_wrap=True)
