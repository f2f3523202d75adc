"""Commands about studies: run, plan, status, plot, best, compare, export, report, collect."""

import atexit
import gc
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from analysis.errors import AnalysisError
from analysis.wording import plural
from harness.cli.options import (
    BAD_INPUT,
    CLAIMS,
    FAILED,
    PUBLISHED,
    RESULTS,
    Data,
    EnvFile,
    Overrides,
    Results,
    StudyArgument,
    as_path,
    console,
    errors,
    find_named_study,
    format_option,
    load_named_study,
    print_error,
    print_indented,
)
from harness.cli.output import take_lost_output
from harness.errors import InputError
from harness.interruption import Interrupted
from harness.storage.place import Place

if TYPE_CHECKING:
    from harness.commands.outcome import Outcome
    from harness.study import Study

app = typer.Typer()


@app.command(epilog="Example: `spikeslab run studies/quickstart.yaml --set epochs=5 --results /tmp/results`")
def run(
    study: StudyArgument,
    results: Results = RESULTS,
    data: Data = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster, such as auto or 10.0.0.1:6379; else $RAY_ADDRESS, or this machine."),
    ] = None,
    env_file: EnvFile = None,
    *,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="WHOM", help="Tell of the end: $VARIABLE that has a webhook's address, an address, or a command."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train what is missing of a study, with live progress, then draw its figures."""
    from harness.cluster.variables import read_variables
    from harness.commands.notify import parse_target
    from harness.commands.plot import draw_quietly
    from harness.commands.run import run_study
    from harness.study.file import format_study_file, load_found

    if env_file is not None:
        os.environ.update(read_variables(env_file))
    # Without this, Python's garbage collector visits every object of pandas, MLflow and Ray at exit, for a second.
    atexit.register(gc.freeze)
    told = None if notify is None else parse_target(notify)
    path = find_named_study(study, results)
    loaded = load_found(path, results.folder, overrides or ())
    text = format_study_file(path, loaded, is_changed=bool(overrides))
    here = format_option("--results", results, RESULTS)
    options = {"--data": data, "--address": address, "--env-file": env_file}
    resumes = f"{_format_again(study, overrides or (), here, options)} resumes from there."
    draw = partial(draw_quietly, loaded, console=errors)
    try:
        outcome = run_study(
            loaded, text, results=results, console=console, data_dir=data, address=address, notify=told, draw=draw
        )
    except Interrupted:
        console.print(f"Stopped. {resumes}", soft_wrap=True)
        raise
    if lost := take_lost_output():
        errors.print(
            f"Output was lost ({(lost.strerror or '').lower()}), the study was not: "
            f"`spikeslab status {loaded.name}{here}` says how far it is.",
            soft_wrap=True,
        )
    if outcome.interrupted:
        console.print(f"Stopped: {outcome.num_done} of {outcome.num_trials} trials are done. {resumes}", soft_wrap=True)
        raise typer.Exit(128 + outcome.interrupted)
    _report_run(loaded, results, outcome, here)
    if outcome.has_failures:
        raise typer.Exit(FAILED)


@app.command(epilog="Example: `spikeslab plan studies/elbo-vs-latent-dim.yaml`")
def plan(study: StudyArgument, results: Results = RESULTS, overrides: Overrides = None) -> None:
    """Show what `run` would do: trials, done, left, estimated time. Nothing starts."""
    from harness.commands.overview import summarise_plan

    loaded = load_named_study(study, results, overrides)
    console.print(summarise_plan(loaded, results), soft_wrap=True)


@app.command(epilog="Example: `spikeslab status quickstart`")
def status(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study file, or the name of a study; default: list all.")
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Show how far a study is, and which of its trials failed and why; without a study, how far each is."""
    from harness.commands.overview import summarise_status, summarise_studies
    from harness.ledger.fetching import fetch_all_to_read

    if study is None:
        fetch_all_to_read(results)
        console.print(summarise_studies(results), soft_wrap=True)
        return
    loaded = load_named_study(study, results, stored_first=True)
    console.print(summarise_status(loaded, results), soft_wrap=True)


@app.command(epilog="Example: `spikeslab plot quickstart elbo-vs-latent-dim`")
def plot(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Study files, or names of studies.")],
    results: Results = RESULTS,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the figures, by study; default: figures/ of each study's results, or figures/bare/.",
            parser=as_path,
        ),
    ] = None,
    *,
    bare: Annotated[
        bool, typer.Option("--bare", help="Draw them for a paper: as PDF, without title and caption.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say of each other figure why these tables cannot support it.")
    ] = False,
) -> None:
    """Draw the figures of studies again, from their tables alone."""
    from analysis.drawing.figure import Drawn
    from harness.commands.plot import draw_study

    def tell(figure: Drawn) -> None:
        if verbose or figure.files or figure.is_error or figure.name in asked:
            print_indented(str(figure))
        else:
            hidden.append(figure.name)

    is_wrong = False
    for study in studies:
        try:
            loaded = load_named_study(study, results, stored_first=True, trials=False, arrays=True)
            folder = results.folder / loaded.name
            place = folder / "figures" / ("bare" if bare else "") if out is None else out / loaded.name
            console.print(f"{place}:", soft_wrap=True)
            asked, hidden = set(loaded.figures or ()), list[str]()
            drawn = draw_study(loaded, folder, tell, out=place, is_bare=bare)
            if out is None:
                results.share(*drawn)
            if hidden:
                print_indented(
                    f"{plural(len(hidden), 'other figure')} cannot be drawn from these tables: see --verbose"
                )
        except (InputError, AnalysisError) as error:  # the others are drawn
            print_error(str(error))
            is_wrong = True
    if is_wrong:
        raise typer.Exit(BAD_INPUT)


@app.command(epilog="Example: `spikeslab best open-hyperparameters-vsc`")
def best(study: StudyArgument, results: Results = RESULTS) -> None:
    """Print a study's winner with its interval, whether the runner-up differs, its settings and its checkpoints.

    Of a search with several metrics, print the trials on its front.
    """
    from harness.commands.best import summarise_best

    loaded = load_named_study(study, results, stored_first=True)
    # Left to itself a terminal breaks lines within words; paths, which have to stay whole, are left to it.
    console.print(summarise_best(loaded, results), soft_wrap=not console.is_terminal, crop=False)


@app.command(epilog="Example: `spikeslab compare my-search other-search --out comparison`")
def compare(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Two studies or more that search the same space.")
    ],
    results: Results = RESULTS,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the figure.", parser=as_path)] = Path(
        "comparison"
    ),
) -> None:
    """Draw the best value so far against trained epochs, for several searches in one figure."""
    from analysis.figures.draw import draw_comparison
    from analysis.tables import load_tables
    from harness.commands.compare import check_same_space

    loaded = [load_named_study(study, results, stored_first=True, trials=False) for study in studies]
    check_same_space(loaded)
    tables = {study.name: load_tables(results.folder / study.name) for study in loaded}
    console.print(f"{out}: {draw_comparison(tables, out)}", soft_wrap=True)


@app.command(epilog="Example: `spikeslab export quickstart --out quickstart.tex`")
def export(
    study: StudyArgument,
    results: Results = RESULTS,
    given: Annotated[
        Literal["csv", "latex", "parquet"] | None,
        typer.Option(
            "--format",
            help="Default: by the name of --out (.csv, .tex, .parquet), else csv. latex needs booktabs; parquet needs "
            "--out, unless it goes into a pipe.",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="One to tabulate, such as test/elbo or train_seconds; may be given again."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; default: standard output.", parser=as_path),
    ] = None,
) -> None:
    """Write the table of a study's configurations: means over seeds, 95% intervals, numbers of seeds.

    Only the tables are read. By default it has the test ELBO, its two terms, and how sparse the codes are.
    """
    from harness.commands.export import choose_format, export_study
    from harness.storage.local import check_writable, write_atomically

    file_format = choose_format(given, out)
    loaded = load_named_study(study, results, stored_first=True, trials=False)
    if out is None and file_format == "parquet" and sys.stdout.isatty():
        raise InputError("--format parquet: no text for a terminal; give a file with --out")
    content = export_study(results.folder / loaded.name, file_format, metrics or ())
    if out is None:
        sys.stdout.buffer.write(content)
        return
    check_writable(out.parent, 0, option="--out")
    write_atomically(out, lambda path: path.write_bytes(content))
    console.print(str(out), soft_wrap=True)


@app.command(epilog="Example: `spikeslab report`, or `spikeslab report quickstart --out /tmp/report`")
def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...]", help="Study files, or names of studies; default: all that have results."),
    ] = None,
    results: Results = RESULTS,
    claims: Annotated[
        Path, typer.Option(metavar="FILE", help="What is claimed, and by what to judge it.", parser=as_path)
    ] = CLAIMS,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the report; default: report/ among the results.", parser=as_path),
    ] = None,
) -> None:
    """Write one page, as HTML and Markdown: each claim's verdict, what was asked and found, every figure.

    Without results of your own, it is of those that were published with spikeslab, in studies/published.
    """
    from harness.commands.report import report_studies
    from harness.ledger.fetching import fetch_all_to_read
    from harness.study.file import list_stored

    if not studies and results == RESULTS and not list_stored(results.folder):
        results = PUBLISHED
    # Commands on the page never name the published results: running a study there would start over and overwrite them.
    options = format_option("--results", results, RESULTS) if results != PUBLISHED else ""
    judged = claims if claims.exists() or claims != CLAIMS else None
    place, tell = out or results.folder / "report", partial(errors.print, soft_wrap=True)
    with errors.status("Reading tables ...") as shown:  # seen in a terminal alone
        for study in (studies or ()) if results.is_remote else ():
            load_named_study(study, results, stored_first=True, trials=False, arrays=True)
        if not studies:
            fetch_all_to_read(results, trials=False, arrays=True)

        def progress(num_drawn: int, num_studies: int) -> None:
            shown.update(f"Drawing figures: {num_drawn} of {plural(num_studies, 'study')} ...")

        paths = report_studies(
            studies or (), results.folder, place, claims=judged, options=options, on_problem=tell, on_progress=progress
        )
    if out is None:
        results.share(*paths)
    for path in paths:
        console.print(str(path), soft_wrap=True)


@app.command(epilog="Example: `spikeslab collect quickstart`")
def collect(study: StudyArgument, results: Results = RESULTS) -> None:
    """Send MLflow what it lacks, and rebuild a study's tables, results and checkpoints from it."""
    from harness.commands.collect import collect_study, find_or_download_study

    loaded = find_or_download_study(study, results)
    collected = collect_study(loaded, results)
    console.print(
        f"{loaded.name}: {collected.num_sent} trials sent to MLflow, {collected.num_restored} restored from it; "
        f"tables of {collected.num_trials} trials are in {results.name(results.folder / loaded.name)}",
        soft_wrap=True,
    )


def _format_again(study: str, overrides: Sequence[str], here: str, options: Mapping[str, object]) -> str:
    """How a run that was stopped is started again: the command, or, of a job, in words. here: the option of results."""
    from harness.cluster.connect import is_job

    if is_job():  # whose copy of the study's file is not where anybody can run it
        return "Submitting it again"
    again = "".join(format_option("--set", given) for given in overrides if not given.startswith("notify="))
    again += here + "".join(format_option(name, value) for name, value in options.items())
    return f"`spikeslab run {shlex.quote(study)}{again}`"


def _report_run(study: "Study", results: Place, outcome: "Outcome", here: str) -> None:
    """Say how a run ended: how much is done, what was found, where all of it is. here: the option of results."""
    from harness.commands.answer import print_answer
    from harness.progress import format_duration

    folder = results.folder / study.name
    trained = f"{outcome.num_trained} trained or measured now" if outcome.num_trained else "nothing to train"
    startup = f" (start-up {outcome.startup_seconds:.0f} s)" if outcome.num_trained else ""
    console.print(
        f"{study.name}: {outcome.num_done} of {outcome.num_trials} trials done ({trained}), in "
        f"{format_duration(outcome.seconds)}{startup}.",
        soft_wrap=True,
    )
    print_answer(study, folder, console)
    if results.is_remote:
        console.print(f"Results: {results.address}/{study.name}", soft_wrap=True)
    runs = f"spikeslab ui --results {results.address}/{study.name}" if results.is_remote else f"spikeslab ui{here}"
    for what, where in {"Figures": folder / "figures", "Tables": folder, "Runs": runs}.items():
        console.print(f"{what}: {where}", soft_wrap=True)
    if outcome.has_failures:
        counts = {"diverged": outcome.num_diverged, "failed": outcome.num_failed}
        ended = " and ".join(f"{plural(num, 'trial')} {how}" for how, num in counts.items() if num)
        console.print(
            f"{ended}: see `spikeslab status {study.name}{here}` and the logs in {results.name(folder / 'trials')}",
            soft_wrap=True,
        )
