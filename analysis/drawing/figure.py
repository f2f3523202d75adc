"""From a frame to the files of a figure: title above, panels, caption below, as PNG and PDF."""

from collections.abc import Callable, Mapping, Sequence
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
from pyarrow.csv import write_csv

from analysis.drawing.caption import caption, floor_note, reading_note, trials_note
from analysis.drawing.style import QUIET, drawing_style
from analysis.errors import AnalysisError, describe_error
from analysis.files import write_atomically
from analysis.tables import Tables
from analysis.tables.series import NothingToDrawError, finished_with

FORMATS = ("png", "pdf")
ABOUT = {"png": "Description", "pdf": "Subject"}  # where a file says what stands under the figure
CHARACTERS_PER_INCH = 14  # of the caption
WENT_WRONG = "an error in drawing it"
LEGEND_WIDTH = 3.0  # inches that every figure leaves for it beside the panels


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is drawn into the files of one figure, which are named after its module in analysis/figures.

    compute: the frame from the tables of a study; raises NothingToDrawError where they cannot support the figure.
    plot: draws the frame. shape: the rows and columns of panels that it takes. note: how to read the figure; without
    one, the caption says how means over seeds are read. shows: the statuses of the trials that are drawn. needs:
    columns in which each of them has a value. all_phases: draws all trials, also those that were trained again after
    the search.
    """

    title: str
    compute: Callable[[Tables], pd.DataFrame]
    plot: Callable[[pd.DataFrame, np.ndarray], None]
    shape: Callable[[pd.DataFrame], tuple[int, int]] = lambda _: (1, 1)
    panel_size: tuple[float, float] = (6.0, 4.6)  # inches
    shares: str = "xy"  # axes that the panels of a row have in common
    shows: Sequence[str] = ("finished",)
    note: Callable[[pd.DataFrame], str] | None = None
    needs: Sequence[str] = ()
    all_phases: bool = False


def on_one_axes(plot: Callable[[pd.DataFrame, Axes], None]) -> Callable[[pd.DataFrame, np.ndarray], None]:
    """Make the `plot` of a figure with a single panel from a function that draws on one `Axes`."""
    return lambda frame, axes: plot(frame, axes[0, 0])


def draw(
    name: str,
    figure: Figure,
    tables: Tables,
    folder: Path,
    *,
    on_figure: Callable[[str], None] | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write one figure to `folder` as `name`, if the tables can support it; return its paths.

    on_figure: is called with the names of its files, or with why it was not drawn. Then files that an earlier run left
    of it are removed: they would show other trials than their neighbours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notify = on_figure or (lambda _: None)
    files = [folder / f"{name}.{suffix}" for suffix in formats]
    numbers = folder / f"{name}.csv"
    try:
        frame = figure.compute(tables)
        notes = _notes(figure, frame, tables.trials)
        with drawing_style():
            sheet = _compose(figure, frame, notes)
    except Exception as error:  # whatever it is, the other figures are drawn
        for file in (*files, numbers):
            file.unlink(missing_ok=True)
        notify(f"{name}: not drawn, {_explain(error)}")
        return []
    with drawing_style():
        for file in files:
            _save(sheet, file, figure.title, " ".join(notes))
    write_atomically(numbers, partial(_write_numbers, frame))
    notify(f"{name}: {' and '.join(file.name for file in files)}, numbers in {numbers.name}")
    return [*files, numbers]


def _explain(error: Exception) -> str:
    """Why a figure is not drawn: the tables cannot support it, a file is damaged, or something went wrong."""
    if isinstance(error, NothingToDrawError | AnalysisError):
        return str(error)
    return f"{WENT_WRONG} ({describe_error(error)})"


def _compose(figure: Figure, frame: pd.DataFrame, notes: list[str]) -> MplFigure:
    """Lay the figure out: title above, panels, caption below."""
    rows, columns = figure.shape(frame)
    width, height = figure.panel_size
    size = (columns * width + LEGEND_WIDTH, rows * height + 1.0)
    sheet = MplFigure(figsize=size, layout="constrained")
    FigureCanvasAgg(sheet)
    share: dict[str, Any] = {f"share{axis}": "row" for axis in figure.shares}
    axes = sheet.subplots(rows, columns, squeeze=False, **share)
    figure.plot(frame, axes)
    # A wide legend makes the figure wider, so that it takes no room from the panels.
    sheet.set_figwidth(size[0] + max(0.0, _measure_legend(sheet) - LEGEND_WIDTH))
    sheet.suptitle(figure.title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    text = caption(notes, width=int(CHARACTERS_PER_INCH * sheet.get_figwidth()))
    sheet.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=QUIET)
    layout = sheet.get_layout_engine()
    assert layout is not None
    layout.execute(sheet)  # once for all formats
    sheet.set_layout_engine(None)
    return sheet


def _measure_legend(sheet: MplFigure) -> float:
    """The width of the widest legend, in inches."""
    legends = (legend for ax in sheet.axes if (legend := ax.get_legend()) is not None)
    return max((legend.get_window_extent().width / sheet.dpi for legend in legends), default=0.0)


def _notes(figure: Figure, frame: pd.DataFrame, trials: pd.DataFrame) -> list[str]:
    """What stands under the figure."""
    how = figure.note(frame) if figure.note else reading_note(frame, finished_with(trials, figure.needs))
    grey = floor_note(frame)
    return [how, *([grey] if grey else []), trials_note(trials, figure.needs, figure.shows)]


def _save(sheet: MplFigure, file: Path, title: str, text: str) -> None:
    """Write one file without date or version of matplotlib, so that the same tables give the same bytes."""
    kind = file.suffix[1:]
    about = {"Title": title, ABOUT[kind]: text}
    if kind == "png":
        write_atomically(file, partial(_save_pixels, sheet, about))
    else:
        metadata = about | dict.fromkeys(["CreationDate", "Creator", "Producer"])
        write_atomically(file, lambda part: sheet.savefig(part, format=kind, metadata=metadata))


def _save_pixels(sheet: MplFigure, about: Mapping[str, str], file: Path) -> None:
    """Write a PNG of 256 colours, without the transparency that matplotlib would store: a page of half the size.

    Figures have fewer colours than that but for smoothed edges; of pictures, a pixel's brightness changes by less than
    an eye can see.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pixels, size = FigureCanvasAgg(sheet).print_to_buffer()  # type: ignore[no-untyped-call]
    info = PngInfo()
    for key, value in about.items():
        info.add_text(key, value)
    picture = Image.frombytes("RGBA", size, pixels).convert("RGB")
    picture = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    # Full compression would take as long as drawing.
    picture.save(file, "png", compress_level=6, pnginfo=info, dpi=(sheet.dpi, sheet.dpi))


def read_caption(picture: Path) -> str:
    """What stands under a figure, from the PNG file that holds it."""
    from PIL import Image

    with Image.open(picture) as image:
        return str(image.info.get(ABOUT["png"], ""))


def _write_numbers(frame: pd.DataFrame, file: Path) -> None:
    """Write the columns that a table can hold, without pictures, codes and the like."""
    objects = [name for name in frame if frame[name].dtype == object]
    others = [name for name in objects if not all(map(pd.api.types.is_scalar, frame[name]))]
    kept = frame.drop(columns=others)
    texts = [name for name in kept if kept[name].dtype == "category" or kept[name].dtype == object]
    # Not pandas' writer, which takes seconds for a hundred thousand rows.
    write_csv(pa.Table.from_pandas(kept.astype(dict.fromkeys(texts, "str")), preserve_index=False), file)
