"""Write a study's table of configurations for a paper or another program: CSV, LaTeX or Parquet."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from analysis.tables import load_tables
from analysis.tables.configuration_table import tabulate_configurations
from analysis.tables.latex import format_latex
from harness.errors import InputError

Format = Literal["csv", "latex", "parquet"]
BY_SUFFIX: Mapping[str, Format] = {".csv": "csv", ".tex": "latex", ".parquet": "parquet"}


def choose_format(given: Format | None, out: Path | None) -> Format:
    """The format that is given, or else that of the file's name; CSV where neither says it.

    Raises:
        InputError: they disagree, the name is of another format and none is given, or it is a folder's.
    """
    if out is not None and out.is_dir():
        raise InputError(f"--out {out}: is a folder; give the name of a file")
    suffix = out.suffix.lower() if out is not None else ""
    named = BY_SUFFIX.get(suffix)
    if suffix and not (given or named):
        raise InputError(f"--out {out}: {suffix} is none of {', '.join(BY_SUFFIX)}; change it, or give --format")
    if given and named and given != named:
        raise InputError(f"--out {out}: a name for {named}, but --format is {given}; change one, or leave --format out")
    return given or named or "csv"


def export_study(folder: Path, file_format: Format, metrics: Sequence[str] = ()) -> bytes:
    """The table of a study's configurations as the content of a file; see `tabulate_configurations`.

    folder: the study's own, of which only the tables are read.

    Raises:
        AnalysisError: the study was not run, or no trial has one of the metrics.
    """
    frame = tabulate_configurations(load_tables(folder), metrics)
    if file_format == "parquet":
        content = io.BytesIO()
        frame.to_parquet(content, index=False)
        return content.getvalue()
    text = format_latex(frame) if file_format == "latex" else frame.to_csv(index=False)
    return text.encode()
