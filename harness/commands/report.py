"""Write the page that shows what studies found: gather their tables and files, and pass them to analysis."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.claims import load_claims
from analysis.errors import describe_error
from analysis.report import StudyReport, write_report
from analysis.tables import TableError, Tables, load_tables
from harness.errors import InputError
from harness.ledger.provenance import read_provenance
from harness.storage.local import check_writable
from harness.study.file import find_study, list_stored, load_found, read_question
from models.numerics.machine import count_cores


def report_studies(
    studies: Sequence[str],
    results: Path,
    out: Path,
    *,
    claims: Path | None = None,
    options: str = "",
    on_problem: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Write one page about some studies, or about all that have results; returns its files.

    claims: the file of claims to judge. options: what the commands that the page quotes need to find the results.
    on_problem: called with a sentence for each part of the page that went wrong; the others are written. on_progress:
    called with how many studies were drawn, of how many.

    Raises:
        InputError: there are no results, or one of the given studies cannot be read.
    """
    tables: dict[str, Tables] = {}
    described: dict[str, StudyReport] = {}
    names = studies or list_stored(results)
    if not names:
        raise InputError(f"{results}: no study has results there; run one first, or give --results")
    for study in names:
        path = find_study(study, results, stored_first=True)
        name, runnable, figures, problem = path.parent.name, path, None, ""
        try:
            loaded = load_found(path, results)
            name, figures = loaded.name, loaded.figures
            runnable = path if path.parent.name == name else Path(study)
            tables[name] = load_tables(results / name)
        except Exception as error:  # whatever it is, the other studies are shown
            if isinstance(error, InputError) and studies:  # asked for by name
                raise
            is_foreseen = isinstance(error, InputError | TableError)
            problem = str(error) if is_foreseen else f"an error in reading it ({describe_error(error)})"
        record: Sequence[Mapping[str, str]] = ()
        try:
            record = read_provenance(results / name)
        except InputError as error:
            on_problem(str(error))
        command = f"spikeslab run {shlex.quote(str(runnable))}{options}"
        described[name] = StudyReport(read_question(path), command, figures, record, problem)
    check_writable(out, 0, option="--out")
    judged = load_claims(claims) if claims is not None else ()
    return write_report(
        tables,
        described,
        out,
        claims=judged,
        num_processes=count_cores(),
        on_problem=on_problem,
        on_progress=on_progress,
    )
