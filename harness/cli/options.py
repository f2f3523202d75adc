"""What commands share: options, exit statuses, consoles, loading the study that is named."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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


def draw_study(
    study: "Study", folder: Path, on_figure: Callable[[str], None] | None = None, *, out: Path | None = None
) -> list[Path]:
    """Draw the figures of a study from its tables, into its folder unless `out` is given.

    on_figure: is called with a line for each figure; without it, those in which something went wrong are printed.
    """
    from analysis.drawing.figure import WENT_WRONG
    from analysis.figures.draw import draw_figures
    from analysis.tables import load_tables
    from harness.storage.local import check_writable

    def tell(line: str) -> None:
        if WENT_WRONG in line:
            errors.print(line, soft_wrap=True)

    tables, place = load_tables(folder), out or folder / "figures"
    check_writable(place, 0, option="--out")
    return draw_figures(tables, place, only=study.figures, on_figure=on_figure or tell)


def print_indented(line: str) -> None:
    """Print a line under a heading."""
    console.print(f"  {line}", soft_wrap=True)


def format_option(name: str, value: object, default: object = None) -> str:
    """Format an option as the user would type it; empty if it has its default."""
    return "" if value == default else f" {name} {shlex.quote(hide_secrets(str(value)))}"
