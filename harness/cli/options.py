"""What commands share: options, exit statuses, consoles, loading the study that is named."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.errors import InputError, hide_secrets
from harness.paths import parse_path

if TYPE_CHECKING:
    from harness.study import Study

FAILED, BAD_INPUT = 1, 2

console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a study.")]


def as_path(text: str | Path) -> Path:
    """Parse the path that an option gives."""
    try:
        return parse_path(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


Results = Annotated[
    Path,
    typer.Option("--results", metavar="DIR", help="Folder of results, one folder a study.", parser=as_path),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder to look for datasets in first.", parser=as_path),
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

RESULTS = Path("results")
PUBLISHED = Path("studies/published")
CLAIMS = Path("studies/claims.yaml")


def load_named_study(
    named: str, results: Path, overrides: Iterable[str] | None = None, *, stored_first: bool = False
) -> "Study":
    """Load the study that the user named, by its file or by its name."""
    from harness.study.file import find_study, load_study

    return load_study(find_study(named, results, stored_first=stored_first), overrides or ())


def print_error(message: str) -> None:
    """Print what is wrong, with no secret in it."""
    errors.print(Text.assemble(("error:", "bold red"), f" {hide_secrets(message)}"), soft_wrap=True)


def print_indented(line: str) -> None:
    """Print a line under a heading."""
    console.print(f"  {line}", soft_wrap=True)


def format_option(name: str, value: object, default: object = None) -> str:
    """Format an option as the user would type it; empty if it has its default."""
    return "" if value == default else f" {name} {shlex.quote(hide_secrets(str(value)))}"
