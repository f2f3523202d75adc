"""Write a study's table of configurations for a paper or another program: CSV, LaTeX or Parquet."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from analysis.tables import load_tables
from analysis.tables.configuration_table import tabulate_configurations
from analysis.tables.latex import format_latex

Format = Literal["csv", "latex", "parquet"]


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
