"""Commands that serve pages or measure the machine: the MLflow UI, Optuna's dashboard, the benchmark."""

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import FAILED, RESULTS, Data, EnvFile, Results, StudyArgument, console, load_named_study
from harness.cli.serving import check_port, serve
from harness.errors import InputError

app = typer.Typer()


@app.command(epilog="Example: `spikeslab ui --port 5001`")
def ui(
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
    env_file: EnvFile = None,
    *,
    server: Annotated[
        bool,
        typer.Option(
            "--server", help="Be the server to which a team logs; MLFLOW_BACKEND_STORE_URI names its database."
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --server: a name by which a proxy passes requests on."),
    ] = None,
) -> None:
    """Serve the MLflow UI of these results on 127.0.0.1, until Ctrl-C."""
    from harness.cli.mlflow_server import serve_pages, serve_team
    from harness.cluster.variables import read_variables

    if allow_host and not server:
        raise InputError("--allow-host works with --server; add --server, or leave it out")
    if env_file is not None:
        os.environ.update(read_variables(env_file))
    if not server:
        serve_pages(results, port)
        return
    if results.is_remote:
        raise InputError(f"--results {results.address}: a server keeps its database on this machine; give a folder")
    serve_team(results.folder, port, allow_host or ())


@app.command(epilog="Example: `spikeslab dashboard my-search`")
def dashboard(
    study: StudyArgument,
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
) -> None:
    """Serve optuna-dashboard on the history of a study's sampler, on 127.0.0.1, until Ctrl-C."""
    from importlib.util import find_spec

    from harness.cli import dashboard_server
    from harness.ledger.names import HISTORY_FILE
    from harness.storage.local import database_uri

    name = load_named_study(study, results, stored_first=True).name
    history = results.folder / name / HISTORY_FILE
    if not history.exists():
        raise InputError(f"{history}: no such file; {name} has no sampler that learns, or has not been run")
    if find_spec("optuna_dashboard") is None:
        raise InputError("optuna-dashboard is not installed; `pip install -c constraints.txt -e '.[dashboard]'`")
    check_port(port)
    command = [sys.executable, "-P", str(dashboard_server.__file__), database_uri(history), str(port)]

    def tell() -> None:
        console.print(f"Optuna's dashboard of {name}: http://127.0.0.1:{port} (Ctrl-C ends it)", soft_wrap=True)

    serve(command, {**os.environ, "PYTHONSAFEPATH": "1"}, port, what="optuna-dashboard", tell=tell)


@app.command(epilog="Example: `spikeslab bench --json > bench.json`")
def bench(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the numbers mean, and what the floors are computed from.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Seconds of timing per row.")] = 5.0,
    latent_dim: Annotated[int, typer.Option(help="Number of latent dimensions.")] = 200,
    batch_size: Annotated[int, typer.Option(help="Training images per step.")] = 32,
    precision: Annotated[
        str, typer.Option(metavar="all|float32|tf32|bf16", help="Precision of our trainer's rows.")
    ] = "all",
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="auto: the CPU, and the GPU if there is one.")
    ] = "auto",
    epochs: Annotated[int, typer.Option(help="Epochs trained before the rows of trained states; 0: no such rows.")] = 3,
    data: Data = None,
) -> None:
    """Measure how fast this machine trains: one trial, several at once, stacked; beside a plain PyTorch loop.

    The images are MNIST's where it is found, else generated ones.
    """
    from harness.commands.bench import write_images
    from models.benchmark.comparison import compare, has_failed
    from models.benchmark.options import Options
    from models.benchmark.table import format_table

    command = shlex.join(["spikeslab", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="spikeslab-bench-") as folder:
        images = write_images(Path(folder), data)
        try:
            options = Options(
                seconds=seconds,
                latent_dim=latent_dim,
                batch_size=batch_size,
                precision=precision,
                device=device,
                epochs=epochs,
                images=str(images) if images else None,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        # Not printed by rich, which would wrap lines to the width of the terminal.
        report = compare(options, command=command, on_progress=lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(report, indent=2) if as_json else format_table(report, explain=explain))
    if has_failed(report):
        raise typer.Exit(FAILED)
