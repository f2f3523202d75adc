"""The command line: `spikeslab --help`."""

import errno
import importlib.metadata
import os
import re
import sys
import warnings
from typing import Annotated, NoReturn

import typer

from analysis.errors import AnalysisError
from harness.cli import cluster, data, jobs, publishing, studies, tools
from harness.cli.options import BAD_INPUT, console, print_error
from harness.cli.output import is_disk_or_device, make_output_safe, take_lost_output
from harness.errors import InputError
from harness.interruption import on_endings, raise_interrupted

ELSEWHERE = "choose another folder with --results or, for what is drawn, with --out"
FIXES = {
    errno.EACCES: f"see to its permissions, or {ELSEWHERE}",
    errno.EPERM: f"see to its permissions, or {ELSEWHERE}",
    errno.EROFS: ELSEWHERE,
    errno.ENOSPC: "free some space, and try again",
    errno.EDQUOT: "free some space, and try again",
}

app = typer.Typer(
    name="spikeslab",
    help="Hyperparameter studies of Variational Sparse Coding, on Ray.\n\n"
    "A study is a YAML file that asks one question. `run` trains what is missing of it and draws its figures; running "
    "it again trains nothing twice. Exit status: 0 done, 1 some trials failed or diverged, 2 bad input, 128 and "
    "the signal that stopped it (130: Ctrl-C).",
    epilog="Example: `spikeslab run studies/quickstart.yaml`, then `spikeslab ui`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(studies.app)
app.add_typer(publishing.app)
app.add_typer(jobs.app)
app.add_typer(tools.app)
app.add_typer(data.app, name="data")
app.add_typer(cluster.app, name="cluster")


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
    make_output_safe()
    if sys.warnoptions:  # PYTHONWARNINGS=error is for the user's own programs; the libraries here cannot live with it
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("ignore")
    try:
        with on_endings(raise_interrupted):
            sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        if not error.format_message():  # a command of commands, given none, has shown its help
            sys.exit(BAD_INPUT)
        _refuse(InputError(_describe_usage(error)))
    except SystemExit as ended:
        if ended.code or (lost := take_lost_output()) is None or not is_disk_or_device(lost):
            raise
        lost.filename = "standard output"
        _refuse(lost)
    except (InputError, AnalysisError, OSError) as error:
        _refuse(error)


def _refuse(error: InputError | AnalysisError | OSError) -> NoReturn:
    print_error(_describe(error))
    sys.exit(BAD_INPUT)


def _describe_usage(error: typer.TyperException) -> str:
    """Describe a wrong option or argument as all else that is wrong: the option, the reason and the fix."""
    said = re.sub(r"^Invalid value for '(.+?)': (?:Input |Value error, )?", r"\1: ", error.format_message())
    said = re.sub(r", unable to parse.*|\.$", "", said)
    if ";" in said:
        return said
    context = getattr(error, "ctx", None)
    return f"{said[0].lower()}{said[1:]}; see `{context.command_path if context else app.info.name} --help`"


def _describe(error: InputError | AnalysisError | OSError) -> str:
    if isinstance(error, InputError) or not isinstance(error, OSError):
        return str(error)
    reason = f"{error.filename or 'input or output'}: {(error.strerror or str(error)).lower()}"
    return f"{reason}; {FIXES[error.errno]}" if error.errno in FIXES else reason
