"""From a frame to the files of a figure: title above, panels, caption below; or bare, for a page or a paper."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MplFigure
from matplotlib.transforms import BboxBase
from pyarrow.csv import write_csv

from analysis.drawing.caption import caption, floor_note, reading_note, trials_note
from analysis.drawing.panels import grid_shape
from analysis.drawing.save import About, save, save_lightest
from analysis.drawing.style import QUIET, drawing_style
from analysis.errors import AnalysisError, describe_error
from analysis.files import write_atomically
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import NothingToDrawError, finished_with

FORMATS = ("png", "pdf")
BARE_FORMATS = ("pdf",)  # what a paper takes
PICTURES = (".png", ".svg")  # what `draw` writes for a page
CHARACTERS_PER_INCH = 14  # of the caption
TITLE_PER_INCH = 8.5  # characters
LEGEND_WIDTH = 3.0  # inches that every figure leaves for it beside the panels
BESIDE = 0.95  # of the way from panel to panel that a text may take
LEGEND_SIZE = 9.5  # points, of one above the panels


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is drawn into the files of one figure, which are named after its module in analysis/figures.

    title: what is shown. finding: what is seen, from the frame, to stand behind it; may be empty.
    compute: the frame from the tables of a study; raises NothingToDrawError where they cannot support the figure.
    plot: draws the frame. shape: the rows and columns of panels that it takes; without one, as many as the frame's
    column `panel` tells apart, three to a row. note: how to read the figure; without one, the caption says how means
    over seeds are read. shows: the statuses of the trials that are drawn. needs: columns in which each of them has a
    value. all_phases: draws all trials, also those that were trained again after the search. all_lengths: draws all
    trials that share a training, not only the longest of them.
    """

    title: str
    compute: Callable[[Tables], pd.DataFrame]
    plot: Callable[[pd.DataFrame, np.ndarray], None]
    shape: Callable[[pd.DataFrame], tuple[int, int]] = lambda frame: grid_shape(
        frame["panel"].nunique() if "panel" in frame else 1
    )
    panel_size: tuple[float, float] = (6.0, 4.6)  # inches
    shares: str = "xy"  # axes that the panels of a row have in common
    stretch: Callable[[pd.DataFrame], float] = lambda _: 1.0  # how much taller than panel_size its panels are
    heights: Sequence[float] = ()  # of the rows, as parts of the panel's; all alike if none are given
    shows: Sequence[str] = ("finished",)
    note: Callable[[pd.DataFrame], str] | None = None
    finding: Callable[[pd.DataFrame], str] = lambda _: ""
    needs: Sequence[str] = ()
    all_phases: bool = False
    all_lengths: bool = False

    def headline(self, frame: pd.DataFrame) -> str:
        """The title, with what is seen where that can be said."""
        found = self.finding(frame)
        return f"{self.title}: {found}" if found else self.title


def on_one_axes(plot: Callable[[pd.DataFrame, Axes], None]) -> Callable[[pd.DataFrame, np.ndarray], None]:
    """Make the `plot` of a figure with a single panel from a function that draws on one `Axes`."""
    return lambda frame, axes: plot(frame, axes[0, 0])


@dataclass(frozen=True)
class Drawn:
    """What became of a figure, in one line as text: its pictures, and behind them its numbers; or why there are none.

    is_error: whether something went wrong in drawing it, where the tables could have supported it.
    """

    name: str
    files: Sequence[Path] = ()
    reason: str = ""
    is_error: bool = False

    def __str__(self) -> str:
        if self.reason:
            return f"{self.name}: not drawn, {self.reason}"
        *pictures, numbers = (file.name for file in self.files)
        return f"{self.name}: {' and '.join(pictures)}, numbers in {numbers}"


def draw(
    name: str,
    figure: Figure,
    tables: Tables,
    folder: Path,
    *,
    formats: Sequence[str] = FORMATS,
    for_page: bool = False,
    is_bare: bool = False,
) -> Drawn:
    """Write one figure to `folder` as `name`, if the tables can support it.

    If they cannot, files that an earlier run left of it are removed: they would show other trials than their
    neighbours. for_page: instead of `formats`, one picture in the lightest format, without title and caption, which the
    page says around it and the picture in its metadata. is_bare: `formats` without title and caption, for a paper.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{suffix}" for suffix in formats]
    pictures = [folder / f"{name}{suffix}" for suffix in PICTURES]
    numbers = folder / f"{name}.csv"
    try:
        frame = figure.compute(tables)
        notes, headline = _notes(figure, frame, tables.trials), figure.headline(frame)
        with drawing_style():
            sheet = _compose(figure, frame, headline, [] if for_page or is_bare else notes)
    except Exception as error:  # whatever it is, the other figures are drawn
        for file in (*files, *(pictures if for_page else ()), numbers):
            file.unlink(missing_ok=True)
        return _explain(name, error)
    about = About(headline, " ".join(notes))
    with drawing_style():
        if for_page:
            files = [save_lightest(sheet, folder / name, about)]
            for other in set(pictures) - set(files):
                other.unlink(missing_ok=True)
        for file in () if for_page else files:
            save(sheet, file, about)
    write_atomically(numbers, partial(_write_numbers, frame))
    return Drawn(name, [*files, numbers])


def _explain(name: str, error: Exception) -> Drawn:
    """Why a figure is not drawn: the tables cannot support it, a file is damaged, or something went wrong."""
    if isinstance(error, NothingToDrawError | AnalysisError):
        return Drawn(name, reason=str(error))
    return Drawn(name, reason=f"an error in drawing it ({describe_error(error)})", is_error=True)


def _compose(figure: Figure, frame: pd.DataFrame, headline: str, notes: list[str]) -> MplFigure:
    """Lay the figure out: title above, panels with legends beside them, caption below.

    Without notes it is bare: nothing but the panels, and the legends above them, so that it is narrow enough for a
    phone, or for the column of a paper.
    """
    rows, columns = figure.shape(frame)
    width, height = figure.panel_size[0], figure.panel_size[1] * figure.stretch(frame)
    heights = figure.heights[:rows] or [1.0] * rows
    size = (columns * width, sum(heights) * height)
    if notes:
        size = (size[0] + LEGEND_WIDTH, size[1] + 1.0)
    sheet = MplFigure(figsize=size, layout="constrained")
    FigureCanvasAgg(sheet)
    share: dict[str, Any] = {f"share{axis}": "row" for axis in figure.shares}
    axes = sheet.subplots(rows, columns, squeeze=False, height_ratios=heights, **share)
    figure.plot(frame, axes)
    if notes:
        # A wide legend makes the figure wider, so that it takes no room from the panels.
        sheet.set_figwidth(size[0] + max(0.0, _measure_legend(sheet) - LEGEND_WIDTH))
        text = textwrap.fill(headline, int(TITLE_PER_INCH * sheet.get_figwidth()))
        sheet.suptitle(text, x=0.01, ha="left", fontsize=13, fontweight="bold")
        text = caption(notes, width=int(CHARACTERS_PER_INCH * sheet.get_figwidth()))
        sheet.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=QUIET)
    else:
        _lift_legends(sheet)
    layout = sheet.get_layout_engine()
    assert layout is not None
    layout.execute(sheet)  # once for all formats
    if _wrap_to_panels(sheet):
        layout.execute(sheet)
    sheet.set_layout_engine(None)
    return sheet


def _wrap_to_panels(sheet: MplFigure) -> bool:
    """Break titles and x labels that would meet the next panel's or leave the sheet; whether there were any."""
    broken = False
    for ax in sheet.axes:
        for text in (ax.title, ax.xaxis.label):
            words, width = text.get_text(), text.get_window_extent().width
            if ax.get_visible() and words and width > (room := _measure_room(ax, sheet)):
                longest = int(max(map(len, words.splitlines())) * room / width) or 1
                text.set_text(
                    "\n".join(textwrap.fill(line, longest, break_on_hyphens=False) for line in words.splitlines())
                )
                broken = True
    return broken


def _measure_room(ax: Axes, sheet: MplFigure) -> float:
    """How wide a text centred on the panel may be, in pixels."""
    centres = [(box.x0 + box.x1) / 2 for box in (ax.get_window_extent(), *_neighbours(ax, sheet))]
    apart = [BESIDE * abs(centre - centres[0]) for centre in centres[1:]]
    return min(*apart, 2 * centres[0], 2 * (sheet.bbox.width - centres[0]))


def _neighbours(ax: Axes, sheet: MplFigure) -> Iterator[BboxBase]:
    """Where the other panels of its row are."""
    spec = ax.get_subplotspec()
    for other in sheet.axes:
        other_spec = other.get_subplotspec()
        if spec and other_spec and other_spec != spec and other_spec.rowspan == spec.rowspan and other.get_visible():
            yield other.get_window_extent()


def _lift_legends(sheet: MplFigure) -> None:
    """Put what the legends beside the panels say into one above them, of as many columns as have room.

    What some of several legends alone say stands behind the title of its panel, and before what all of them say.
    """
    legends = {
        ax: legend
        for ax in sheet.axes
        if (legend := ax.get_legend()) is not None and legend.get_bbox_to_anchor() is not ax.bbox
    }
    if not legends:
        return
    common = set.intersection(*({text.get_text() for text in legend.texts} for legend in legends.values()))
    own, shared = dict[str, Any](), dict[str, Any]()
    for ax, legend in legends.items():
        for text, handle in zip(legend.texts, legend.legend_handles, strict=True):
            words, title = text.get_text(), ax.get_title()
            if words in common:
                shared[words] = handle
            else:
                own[f"{title}: {words}" if title else words] = handle
        legend.remove()
    entries = own | shared
    longest = max(len(line) for label in entries for line in label.splitlines()) + 6
    columns = int(sheet.get_figwidth() * 72 / (0.62 * LEGEND_SIZE * longest))
    before = sheet.get_figheight()
    legend = sheet.legend(
        list(entries.values()), list(entries), loc="outside upper left", ncols=max(1, columns), fontsize=LEGEND_SIZE,
        columnspacing=1.2, handletextpad=0.5, borderaxespad=0.2,
    )  # fmt: skip
    extent = legend.get_window_extent()
    sheet.set_size_inches(max(sheet.get_figwidth(), extent.width / sheet.dpi + 0.1), before + extent.height / sheet.dpi)


def _measure_legend(sheet: MplFigure) -> float:
    """The width of the widest legend, in inches."""
    legends = (legend for ax in sheet.axes if (legend := ax.get_legend()) is not None)
    return max((legend.get_window_extent().width / sheet.dpi for legend in legends), default=0.0)


def _notes(figure: Figure, frame: pd.DataFrame, trials: pd.DataFrame) -> list[str]:
    """What stands under the figure."""
    how = figure.note(frame) if figure.note else reading_note(frame, _shown(figure, trials))
    grey = floor_note(frame)
    which = trials_note(trials, figure.needs, figure.shows, all_lengths=figure.all_lengths)
    return [how, *([grey] if grey else []), which]


def _shown(figure: Figure, trials: pd.DataFrame) -> pd.DataFrame:
    rows = finished_with(trials, figure.needs)
    return rows if figure.all_lengths else longest_of_each(rows)


def _write_numbers(frame: pd.DataFrame, file: Path) -> None:
    """Write the columns that a table can hold, without pictures, codes and the like."""
    objects = [name for name in frame if frame[name].dtype == object]
    others = [name for name in objects if not all(map(pd.api.types.is_scalar, frame[name]))]
    kept = frame.drop(columns=others)
    texts = [name for name in kept if kept[name].dtype == "category" or kept[name].dtype == object]
    # Not pandas' writer, which takes seconds for a hundred thousand rows.
    write_csv(pa.Table.from_pandas(kept.astype(dict.fromkeys(texts, "str")), preserve_index=False), file)
