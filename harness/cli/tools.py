"""Commands that concern no particular study: the MLflow UI and the benchmark."""

import json
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import FAILED, RESULTS, Data, Results, console
from harness.errors import InputError, hide_secrets
from harness.interruption import Interrupted

app = typer.Typer()


@app.command(epilog="Example: `spikeslab ui --port 5001`")
def ui(
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve the MLflow UI of these results on 127.0.0.1, until Ctrl-C."""
    from harness.tracking.local_store import relocate_artifacts
    from harness.tracking.mlflow_settings import check_store, quieten_mlflow, tracking_uri

    uri = tracking_uri(results)
    if uri.startswith("http"):
        console.print(f"Runs are logged to an MLflow server: open {hide_secrets(uri)} in a browser.", soft_wrap=True)
        return
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        if not (results / "mlflow.db").exists():
            raise InputError(f"{results / 'mlflow.db'}: no such database; run a study first, or give --results")
        with suppress(sqlite3.Error):  # another's folder, that may be read alone
            relocate_artifacts(results)
    _check_port(port)
    check_store(uri)
    console.print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)")
    quieten_mlflow()
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # no argument, as everyone on the machine may read those
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONSAFEPATH": "1",  # nothing of the current folder in the processes that it starts, either
    }
    command = [sys.executable, "-P", "-m", "mlflow", "ui"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 (our own interpreter, no shell)
        try:
            status = server.wait()
        except Interrupted as ended:
            _end(server.pid)
            if ended.signum == signal.SIGINT:  # the way to end it
                raise typer.Exit from None
            raise
    if status:
        raise InputError(f"{uri}: the MLflow UI ended with exit status {status}; its own words stand above")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"--port {port}: {reason}; choose another port, such as --port {port % 64511 + 1025}"
            ) from None


def _end(pid: int) -> None:
    """End a server with the processes that it started."""
    import psutil

    server = psutil.Process(pid)
    for process in [*server.children(recursive=True), server]:
        process.terminate()


@app.command(epilog="Example: `spikeslab bench --json > bench.json`")
def bench(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
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
    typer.echo(json.dumps(report, indent=2) if as_json else format_table(report))
    if has_failed(report):
        raise typer.Exit(FAILED)
