"""The command line: `spikeslab --help`."""

import importlib.metadata
import sys
from typing import Annotated

import typer

from analysis.errors import AnalysisError
from harness.cli import data, studies, tools
from harness.cli.options import BAD_INPUT, console, errors
from harness.errors import InputError

app = typer.Typer(
    name="spikeslab",
    help="Hyperparameter studies of Variational Sparse Coding, on Ray.\n\n"
    "A study is a YAML file that asks one question. `run` trains what is missing of it and draws its figures; running "
    "it again trains nothing twice. Exit status: 0 done, 1 some trials failed, 2 bad input.",
    epilog="Example: `spikeslab run studies/quickstart.yaml`, then `spikeslab ui`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(studies.app)
app.add_typer(tools.app)
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"spikeslab {importlib.metadata.version('spikeslab')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; bad input is reported in one sentence, with exit status 2."""
    try:
        app()
    except (InputError, AnalysisError, OSError) as error:
        errors.print(f"error: {_describe(error)}", soft_wrap=True)
        sys.exit(BAD_INPUT)


def _describe(error: InputError | AnalysisError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'input or output'}: {(error.strerror or str(error)).lower()}"
    return str(error)
