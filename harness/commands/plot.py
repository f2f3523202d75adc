"""Draw the figures of a study from its tables alone."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from analysis.drawing.figure import BARE_FORMATS, FORMATS, Drawn
from analysis.figures.draw import draw_figures
from analysis.tables import load_tables
from harness.storage.local import check_writable
from harness.study import Study


def draw_study(
    study: Study, folder: Path, on_figure: Callable[[Drawn], None], *, out: Path | None = None, is_bare: bool = False
) -> list[Path]:
    """Draw the figures of a study from its tables, into its folder unless `out` is given; returns their paths.

    on_figure: is called with what became of each figure. is_bare: as PDF without title and caption, for a paper.

    Raises:
        AnalysisError: the study has no tables.
    """
    tables, place = load_tables(folder), out or folder / "figures"
    check_writable(place, 0, option="--out")
    formats = BARE_FORMATS if is_bare else FORMATS
    return draw_figures(tables, place, only=study.figures, formats=formats, on_figure=on_figure, is_bare=is_bare)


def draw_quietly(study: Study, folder: Path, console: Console) -> list[Path]:
    """Draw the figures of a study into its folder, printing only those in which something went wrong."""

    def tell(drawn: Drawn) -> None:
        if drawn.is_error:
            console.print(str(drawn), soft_wrap=True)

    return draw_study(study, folder, tell)
