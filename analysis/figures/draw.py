"""All figures of a study, drawn from its tables into PNG and PDF."""

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path

from analysis.drawing.figure import FORMATS, Drawn, Figure, draw
from analysis.figure_names import FIGURE_NAMES
from analysis.figures import best_so_far
from analysis.tables import Tables, join_studies, of_search

FIGURES: Mapping[str, Figure] = {name: import_module(f"analysis.figures.{name}").FIGURE for name in FIGURE_NAMES}
"""By the name of the file, which is that of the figure in a study and of what is drawn."""


def draw_figures(
    tables: Tables,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    formats: Sequence[str] = FORMATS,
    on_figure: Callable[[Drawn], object] = lambda _: None,
    for_page: bool = False,
    is_bare: bool = False,
) -> list[Path]:
    """Write every figure that the tables can support to `folder`; return the paths: of each its `formats` and a CSV.

    only: the names of those to draw; None for all. on_figure: called with what became of each. for_page,
    is_bare: as in `analysis.drawing.figure.draw`.
    """
    searched = of_search(tables)
    written: list[Path] = []
    for name, figure in FIGURES.items():
        if only is None or name in only:
            shown = tables if figure.all_phases else searched
            drawn = draw(name, figure, shown, folder, formats=formats, for_page=for_page, is_bare=is_bare)
            on_figure(drawn)
            written += drawn.files
    return written


def draw_studies(
    tables: Mapping[str, Tables],
    folder: Path,
    *,
    only: Mapping[str, Collection[str] | None],
    num_processes: int,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, list[Drawn]]:
    """Draw several studies for a page, each into a folder of its name; return what became of each one's figures.

    only: by study, as in `draw_figures`. num_processes: studies at once, since matplotlib takes half a second a figure.
    on_progress: called with how many studies are drawn, and of how many.
    """

    def count(results: Iterable[list[Drawn]]) -> Iterator[list[Drawn]]:
        for num_drawn, result in enumerate(results, 1):
            on_progress(num_drawn, len(jobs))
            yield result

    jobs = [(one, folder / name, only[name]) for name, one in tables.items()]
    one_by_one = starmap(_draw_study, jobs)
    if min(num_processes, len(jobs)) < 2:
        return dict(zip(tables, count(one_by_one), strict=True))
    # Not forked, since a fork would keep the locks that threads of the libraries for tables hold just then.
    try:
        num = min(num_processes, len(jobs))
        with ProcessPoolExecutor(num, mp_context=get_context("spawn"), initializer=_collect_rarely) as pool:
            return dict(zip(tables, count(pool.map(_draw_study, *zip(*jobs, strict=True))), strict=True))
    except BrokenProcessPool:  # one was killed, perhaps for lack of memory: this process alone needs the least
        return dict(zip(tables, count(one_by_one), strict=True))


def _collect_rarely() -> None:
    """Look for garbage seldom, and not among what is imported: it took 8% of a page's time."""
    gc.freeze()
    gc.set_threshold(100_000)


def _draw_study(tables: Tables, folder: Path, only: Collection[str] | None) -> list[Drawn]:
    drawn: list[Drawn] = []
    draw_figures(tables, folder, only=only, on_figure=drawn.append, for_page=True)
    return drawn


def draw_comparison(tables_by_study: Mapping[str, Tables], folder: Path) -> Drawn:
    """Draw best_so_far for several studies together, to `folder`."""
    joined = join_studies({name: of_search(tables) for name, tables in tables_by_study.items()})
    return draw("best_so_far", best_so_far.FIGURE, joined, folder)
