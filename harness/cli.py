"""The command line: `spikeslab --help`."""

import atexit
import gc
import importlib.metadata
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.study import Study

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

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
data_app = typer.Typer(
    help="Datasets: where they are, how to get them, whether their bytes are right.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(data_app, name="data")

console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a study.")]


def _check_results(folder: Path) -> Path:
    if odd := re.search(r"[?#%]", str(folder)):  # MLflow's and Optuna's databases are named by an address
        raise InputError(f"--results {folder}: {odd[0]} cannot stand in the address of a database; rename the folder")
    return folder


Results = Annotated[
    Path,
    typer.Option("--results", metavar="DIR", help="Folder of results, one folder a study.", callback=_check_results),
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder to look for datasets in first.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the study: `epochs=3`, `search.num_trials=20`."),
]
RESULTS = Path("results")
PUBLISHED = Path("studies/published")
CLAIMS = Path("studies/claims.yaml")


def _load(
    text: str, results: Path, overrides: Iterable[str] | None = None, *, stored_first: bool = False
) -> tuple["Study", str]:
    """The study, and its text as it is stored with the results."""
    from harness.study_file import dump_study, find_study, load_study

    path = find_study(text, results, stored_first=stored_first)
    study = load_study(path, overrides or ())
    text = path.read_text(encoding="utf-8")
    if overrides:
        question = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True))
        text = "".join(question) + dump_study(study)
    return study, text


def _draw(study: "Study", folder: Path, on_figure: Callable[[str], None] | None = None) -> list[Path]:
    """Draw the figures of a study that its tables hold."""
    from analysis.figures.draw import draw_figures
    from analysis.tables import load_tables

    return draw_figures(load_tables(folder), folder / "figures", only=study.figures, on_figure=on_figure)


def _say_indented(line: str) -> None:
    console.print(f"  {line}", soft_wrap=True)


def _option(name: str, value: object, default: object = None) -> str:
    """An option as the user would type it again; nothing where it has its default."""
    return "" if value == default else f" {name} {shlex.quote(str(value))}"


@app.command(epilog="Example: `spikeslab run studies/quickstart.yaml --set epochs=5 --results /tmp/results`")
def run(
    study: StudyArgument,
    results: Results = RESULTS,
    data: Data = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster, such as auto or 10.0.0.1:6379; else this machine."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train what is missing of a study, with live progress, then draw its figures."""
    from harness.progress import format_duration
    from harness.runner import run_study

    # Python would go through every object of pandas, MLflow and Ray once more before it ends: a second for nothing.
    atexit.register(gc.freeze)
    loaded, text = _load(study, results, overrides)
    draw = partial(_draw, loaded)
    outcome = run_study(loaded, text, results=results, console=console, data_dir=data, address=address, draw=draw)
    again = "".join(_option("--set", override) for override in overrides or ())
    again += _option("--results", results, RESULTS) + _option("--data", data) + _option("--address", address)
    if outcome.interrupted:
        console.print(
            f"Stopped: {outcome.num_done} of {outcome.num_trials} trials are done. "
            f"`spikeslab run {shlex.quote(study)}{again}` goes on from there.",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED)
    folder, here = results / loaded.name, _option("--results", results, RESULTS)
    trained = f"{outcome.num_trained} trained now" if outcome.num_trained else "nothing to train"
    startup = f" (start-up {outcome.startup_seconds:.0f} s)" if outcome.num_trained else ""
    console.print(
        f"{loaded.name}: {outcome.num_done} of {outcome.num_trials} trials done ({trained}), in "
        f"{format_duration(outcome.seconds)}{startup}. Figures: {folder / 'figures'}. Runs: spikeslab ui{here}",
        soft_wrap=True,
    )
    if outcome.num_failed:
        console.print(
            f"{outcome.num_failed} trials failed or diverged: see `spikeslab status {loaded.name}{here}` and the logs "
            f"in {folder / 'trials'}",
            soft_wrap=True,
        )
        raise typer.Exit(FAILED)


@app.command(epilog="Example: `spikeslab plan studies/elbo-vs-latent-dim.yaml`")
def plan(study: StudyArgument, results: Results = RESULTS, overrides: Overrides = None) -> None:
    """Show what `run` would do: trials, done, left, estimated time. Nothing starts."""
    from harness.overview import summarise_plan

    loaded, _ = _load(study, results, overrides)
    console.print(summarise_plan(loaded, results))


@app.command(epilog="Example: `spikeslab status quickstart`")
def status(study: StudyArgument, results: Results = RESULTS) -> None:
    """Show how far a study is, and which of its trials failed and why."""
    from harness.overview import summarise_status

    loaded, _ = _load(study, results, stored_first=True)
    console.print(summarise_status(loaded, results))


@app.command(epilog="Example: `spikeslab plot quickstart elbo-vs-latent-dim`")
def plot(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Study files, or names of studies.")],
    results: Results = RESULTS,
) -> None:
    """Draw the figures of studies again, from their tables alone."""
    for study in studies:
        loaded, _ = _load(study, results, stored_first=True)
        console.print(f"{results / loaded.name / 'figures'}:", soft_wrap=True)
        _draw(loaded, results / loaded.name, _say_indented)


@app.command(epilog="Example: `spikeslab best open-hyperparameters-vsc`")
def best(study: StudyArgument, results: Results = RESULTS) -> None:
    """Print a study's winner with its interval, whether the runner-up differs, its settings and its checkpoints."""
    from harness.best import summarise_best

    loaded, _ = _load(study, results, stored_first=True)
    console.print(summarise_best(loaded, results), soft_wrap=True)


@app.command(epilog="Example: `spikeslab compare example-random example-tpe --out comparison`")
def compare(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Studies that search the same space.")],
    results: Results = RESULTS,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the figure.")] = Path("comparison"),
) -> None:
    """Draw the best value so far against trained epochs, for several searches in one figure."""
    from analysis.figures.draw import draw_comparison
    from analysis.tables import load_tables

    names = [_load(study, results, stored_first=True)[0].name for study in studies]
    tables = {name: load_tables(results / name) for name in names}
    draw_comparison(tables, out, on_figure=lambda line: console.print(f"{out}: {line}", soft_wrap=True))


@app.command(epilog="Example: `spikeslab report`, or `spikeslab report quickstart --out /tmp/report`")
def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...]", help="Study files, or names of studies; default: all that have results."),
    ] = None,
    results: Results = RESULTS,
    claims: Annotated[Path, typer.Option(metavar="FILE", help="What is claimed, and by what to judge it.")] = CLAIMS,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report; default: report/ among the results.")
    ] = None,
) -> None:
    """Write one page, as HTML and Markdown: each claim's verdict, what was asked and found, every figure.

    Without results of your own, it is of those that were published with spikeslab, in studies/published.
    """
    from analysis.claims import load_claims
    from analysis.report import StudyReport, write_report
    from analysis.tables import TableError, load_tables
    from harness.provenance import read_provenance
    from harness.study_file import find_study, list_stored, read_question

    if not studies and results == RESULTS and not list_stored(results):
        results = PUBLISHED
    names = studies or list_stored(results)
    if not names:
        raise InputError(f"{results}: no study has results there; run one first, or give --results")
    tables, described = {}, {}
    for study in names:
        path = find_study(study, results, stored_first=True)
        # Not into the published results: they hold no states, so that it would begin anew and write over them.
        option, problem = _option("--results", results, RESULTS) if results != PUBLISHED else "", ""
        name, again, figures = path.parent.name, path, None
        try:
            loaded, _ = _load(study, results, stored_first=True)
            name, figures = loaded.name, loaded.figures
            again = path if path.parent.name == name else Path(study)
            tables[name] = load_tables(results / name)
        except (TableError, InputError) as error:
            if isinstance(error, InputError) and studies:  # asked for by name
                raise
            problem = str(error)
        command = f"spikeslab run {shlex.quote(str(again))}{option}"
        described[name] = StudyReport(read_question(path), command, figures, read_provenance(results / name), problem)
    judged = load_claims(claims) if claims.exists() or claims != CLAIMS else ()
    for path in write_report(tables, described, out or results / "report", claims=judged):
        console.print(str(path), soft_wrap=True)


@app.command(epilog="Example: `spikeslab collect quickstart`")
def collect(study: StudyArgument, results: Results = RESULTS) -> None:
    """Send MLflow what it lacks, and rebuild a study's tables, results and checkpoints from it."""
    from harness.collect import collect_study, find_or_download_study

    loaded = find_or_download_study(study, results)
    collected = collect_study(loaded, results)
    console.print(
        f"{loaded.name}: {collected.num_sent} trials sent to MLflow, {collected.num_restored} restored from it; "
        f"tables of {collected.num_trials} trials are in {results / loaded.name}",
        soft_wrap=True,
    )


@app.command(epilog="Example: `spikeslab ui --port 5001`")
def ui(
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve the MLflow UI of these results on 127.0.0.1, until Ctrl-C."""
    from harness.mlflow_store import tracking_uri

    uri = tracking_uri(results)
    if uri.startswith("http"):
        console.print(f"Runs are logged to a server of their own: open {uri} in a browser.", soft_wrap=True)
        return
    if uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise InputError(f"{uri.removeprefix('sqlite:///')}: no such database; run a study first, or give --results")
    console.print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)")
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    server = subprocess.run(command, env=environment, check=False)  # noqa: S603 (our own interpreter, no shell)
    if server.returncode not in (0, -2, INTERRUPTED):
        raise InputError(f"--port {port}: the MLflow UI did not start there; choose another port")


@app.command(epilog="Example: `spikeslab bench --json > bench.json`")
def bench(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    seconds: Annotated[float, typer.Option(help="To time each row for.")] = 5.0,
    latent_dim: Annotated[int, typer.Option(help="Of the model.")] = 200,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 32,
    precision: Annotated[str, typer.Option(metavar="all|float32|bf16", help="Of our rows.")] = "all",
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="auto: the CPU, and a GPU where there is one.")
    ] = "auto",
) -> None:
    """Measure how fast this machine trains: one trial, many at once, fused; beside a plain PyTorch loop."""
    from models.benchmark.comparison import compare, has_failed
    from models.benchmark.options import Options
    from models.benchmark.table import format_table

    try:
        options = Options(
            seconds=seconds, latent_dim=latent_dim, batch_size=batch_size, precision=precision, device=device
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    command = shlex.join(["spikeslab", *sys.argv[1:]])
    # Neither goes through rich, which would break lines to the width of the terminal.
    report = compare(options, command=command, on_progress=lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(report, indent=2) if as_json else format_table(report))
    if has_failed(report):
        raise typer.Exit(FAILED)


@data_app.command("list", epilog="Example: `spikeslab data list`")
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


@data_app.command(epilog="Example: `spikeslab data fetch mnist`")
def fetch(name: Annotated[str, typer.Argument(help="mnist or fashion-mnist")], data: Data = None) -> None:
    """Download a dataset, verified, into the user's cache or the folder given with --data."""
    from harness.datasets import fetch_dataset

    folder = fetch_dataset(name, data, on_progress=lambda line: console.print(line, soft_wrap=True))
    console.print(f"{name} is in {folder}", soft_wrap=True)


@data_app.command(epilog="Example: `spikeslab data verify mnist`")
def verify(name: Annotated[str, typer.Argument(help="digits, mnist or fashion-mnist")], data: Data = None) -> None:
    """Compare every byte of a dataset with what it should be."""
    from harness.datasets import verify_dataset

    checks = verify_dataset(name, data)
    for check in checks:
        console.print(f"{'ok  ' if check.ok else 'BAD '} {check.path}", soft_wrap=True)
    if not checks:
        console.print(f"{name} is embedded: nothing to verify")
    if problems := [check.problem for check in checks if check.problem]:
        raise InputError(problems[0])


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
    """Run the command line; bad input becomes one sentence and status 2."""
    try:
        app()
    except (InputError, OSError) as error:
        errors.print(f"error: {_describe(error)}", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except ValueError as error:
        from analysis.claims import ClaimsError
        from analysis.tables import TableError

        if not isinstance(error, TableError | ClaimsError):
            raise
        errors.print(f"error: {error}", soft_wrap=True)
        sys.exit(BAD_INPUT)


def _describe(error: InputError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'input or output'}: {(error.strerror or str(error)).lower()}"
    return str(error)


if __name__ == "__main__":
    main()
