"""What commands share: options, exit statuses, consoles, loading the study that is named."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from harness.commands.console import make_console
from harness.errors import InputError, hide_secrets
from harness.paths import parse_path
from harness.storage.bucket import open_place
from harness.storage.place import Folder, Place

if TYPE_CHECKING:
    from harness.study import Study

FAILED, BAD_INPUT = 1, 2

console = make_console()
errors = make_console(stderr=True)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a study.")]


def as_path(text: str | Path) -> Path:
    """Parse the path that an option gives."""
    try:
        return parse_path(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def as_place(text: str | Place) -> Place:
    """Parse the place of results that an option gives."""
    if not isinstance(text, str):
        return text
    try:
        return open_place(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


Results = Annotated[
    Place,
    typer.Option(
        "--results",
        metavar="DIR",
        help="Folder of results, one folder a study, or such a part of a bucket: s3://bucket/path, gs://bucket/path.",
        parser=as_place,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder to look for datasets in first; of celeba, each node's own.",
        parser=as_path,
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="NAME=value lines, such as MLFLOW_TRACKING_PASSWORD, set for this run; nobody else may read it.",
        parser=as_path,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the study: `epochs=3`, `search.num_trials=20`."),
]

RESULTS: Place = Folder(Path("results"))
PUBLISHED: Place = Folder(Path("studies/published"))
CLAIMS = Path("studies/claims.yaml")


def load_named_study(
    named: str,
    results: Place,
    overrides: Iterable[str] | None = None,
    *,
    stored_first: bool = False,
    trials: bool = True,
    arrays: bool = False,
) -> "Study":
    """Load the study that the user named, by its file or by its name, and bring its results here to be read.

    trials: also what is stored of each; else its tables alone. arrays: also what figures are drawn from.
    """
    from harness.ledger.fetching import fetch_to_read
    from harness.study.file import load_found

    path = find_named_study(named, results, stored_first=stored_first)
    study = load_found(path, results.folder, overrides or ())
    fetch_to_read(results, study.name, trials=trials, arrays=arrays)
    return study


def find_named_study(named: str, results: Place, *, stored_first: bool = False) -> Path:
    """Find the file of the study that the user named; see `find_study`."""
    from harness.study.fields import SLUG
    from harness.study.file import find_study

    if results.is_remote and SLUG.fullmatch(named):
        results.fetch_file(results.folder / named / "study.yaml")
    return find_study(named, results.folder, stored_first=stored_first)


def print_error(message: str) -> None:
    """Print what is wrong, with no secret in it."""
    errors.print(Text.assemble(("error:", "bold red"), f" {hide_secrets(message)}"), soft_wrap=True)


def print_indented(line: str) -> None:
    """Print a line under a heading."""
    console.print(f"  {line}", soft_wrap=True)


def format_option(name: str, value: object, default: object = None) -> str:
    """Format an option as the user would type it; empty if it has its default."""
    return "" if value == default else f" {name} {shlex.quote(hide_secrets(str(value)))}"
