"""`spikeslab data`: the datasets on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.cli.options import Data, as_path, console
from harness.errors import InputError

LIST = "`spikeslab data list`"

app = typer.Typer(
    help="Datasets: where they are, how to get them, whether their bytes are right.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("list", epilog="Example: `spikeslab data list`")
def list_data(data: Data = None) -> None:
    """Show the datasets, and where each was found."""
    from harness.datasets import DATASET_NAMES, locate_dataset

    table = Table("dataset", "found", box=None, pad_edge=False)
    for name in DATASET_NAMES:
        location = locate_dataset(name, data)
        if location.embedded:
            found = "embedded (scikit-learn carries it)"
        elif location.folder is not None:
            found = str(location.folder)
        else:
            found = f"not found; run: spikeslab data fetch {name}"
        table.add_row(name, found)
    console.print(table, soft_wrap=True)


@app.command(epilog="Example: `spikeslab data fetch mnist`")
def fetch(
    name: Annotated[str, typer.Argument(help=f"One of those that {LIST} shows.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder to put it into; else the user's cache.", parser=as_path),
    ] = None,
) -> None:
    """Download, draw or prepare a dataset, verified, into the user's cache or the folder given with --data."""
    from harness.datasets import fetch_dataset
    from harness.progress import counting

    with counting(console) as on_count:
        folder = fetch_dataset(
            name, data, on_progress=lambda line: console.print(line, soft_wrap=True), on_count=on_count
        )
    console.print(f"{name} is in {folder}", soft_wrap=True)


@app.command(epilog="Example: `spikeslab data verify mnist`")
def verify(name: Annotated[str, typer.Argument(help=f"One of those that {LIST} shows.")], data: Data = None) -> None:
    """Compare every byte of a dataset with what it should be."""
    from harness.datasets import verify_dataset

    checks = verify_dataset(name, data)
    for check in checks:
        console.print(f"{'ok  ' if check.ok else 'BAD '} {check.path}", soft_wrap=True)
    if not checks:
        console.print(f"{name} is embedded: nothing to verify")
    if problems := [check.problem for check in checks if check.problem]:
        raise InputError(problems[0])
