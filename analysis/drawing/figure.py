"""From a frame to the files of a figure: title above, panels, caption below, as PNG and PDF."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pyarrow.csv import write_csv

from analysis.drawing.caption import caption, reading_note, trials_note
from analysis.drawing.style import QUIET, drawing_style
from analysis.tables import Tables
from analysis.tables.series import NothingToDrawError, finished_with

FORMATS = ("png", "pdf")
ABOUT = {"png": "Description", "pdf": "Subject"}  # where a file says what stands under the figure
CHARACTERS_PER_INCH = 14  # of the caption
LEGEND_WIDTH = 3.0  # inches, of which every figure has room beside its panels


@dataclass(frozen=True)
class Drawable:
    """One figure: named after the module that computes and plots it.

    `shows`: the statuses of the trials in it. `needs`: columns of which each of them has a value. `note`: how to read
    it, from the frame; without one, how means over seeds are read. It sees the trials of the search, or with
    `all_phases` also those trained again after it.
    """

    name: str
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


def draw(
    drawable: Drawable,
    tables: Tables,
    folder: Path,
    on_figure: Callable[[str], None] | None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write one figure to `folder`, if the tables can support it; return its paths.

    `on_figure` hears its files, or why it was not drawn. Then files that an earlier run left of it are removed:
    they would show other trials than their neighbours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say = on_figure or (lambda _: None)
    files = [folder / f"{drawable.name}.{suffix}" for suffix in formats]
    numbers = folder / f"{drawable.name}.csv"
    try:
        frame = drawable.compute(tables)
    except NothingToDrawError as reason:
        for file in (*files, numbers):
            file.unlink(missing_ok=True)
        say(f"{drawable.name}: not drawn, {reason}")
        return []
    notes = _notes(drawable, frame, tables.trials)
    with drawing_style():
        figure = _compose(drawable, frame, notes)
        for file in files:
            _save(figure, file, drawable.title, " ".join(notes))
    write_file(numbers, partial(_write_numbers, frame))
    say(f"{drawable.name}: {' and '.join(file.name for file in files)}, numbers in {numbers.name}")
    return [*files, numbers]


def _compose(drawable: Drawable, frame: pd.DataFrame, notes: list[str]) -> Figure:
    """Title above, panels, caption below."""
    rows, columns = drawable.shape(frame)
    width, height = drawable.panel_size
    size = (columns * width + LEGEND_WIDTH, rows * height + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    share: dict[str, Any] = {f"share{axis}": "row" for axis in drawable.shares}
    axes = figure.subplots(rows, columns, squeeze=False, **share)
    drawable.plot(frame, axes)
    figure.set_figwidth(size[0] + max(0.0, _measure_legend(figure) - LEGEND_WIDTH))  # never at the panels' expense
    figure.suptitle(drawable.title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    text = caption(notes, width=int(CHARACTERS_PER_INCH * figure.get_figwidth()))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=QUIET)
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)  # once, not again for each format
    figure.set_layout_engine(None)
    return figure


def _measure_legend(figure: Figure) -> float:
    """The width of the widest legend, in inches."""
    legends = (legend for ax in figure.axes if (legend := ax.get_legend()) is not None)
    return max((legend.get_window_extent().width / figure.dpi for legend in legends), default=0.0)


def _notes(drawable: Drawable, frame: pd.DataFrame, trials: pd.DataFrame) -> list[str]:
    """What stands under the figure."""
    how = drawable.note(frame) if drawable.note else reading_note(frame, finished_with(trials, drawable.needs))
    return [how, trials_note(trials, drawable.needs, drawable.shows)]


def _save(figure: Figure, file: Path, title: str, text: str) -> None:
    """No date and no version of matplotlib: the same tables give the same bytes."""
    kind = file.suffix[1:]
    about = {"Title": title, ABOUT[kind]: text}
    if kind == "png":
        write_file(file, partial(_save_pixels, figure, about))
    else:
        metadata = about | dict.fromkeys(["CreationDate", "Creator", "Producer"])
        write_file(file, lambda part: figure.savefig(part, format=kind, metadata=metadata))


def _save_pixels(figure: Figure, about: Mapping[str, str], file: Path) -> None:
    """As PNG, without the transparency that matplotlib would store: a tenth of a report."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pixels, size = FigureCanvasAgg(figure).print_to_buffer()  # type: ignore[no-untyped-call]
    info = PngInfo()
    for key, value in about.items():
        info.add_text(key, value)
    picture = Image.frombytes("RGBA", size, pixels).convert("RGB")
    # To press the last bytes out of a picture takes as long as to draw it.
    picture.save(file, "png", compress_level=3, pnginfo=info, dpi=(figure.dpi, figure.dpi))


def read_caption(picture: Path) -> str:
    """What stands under a figure, from the PNG file that holds it."""
    from PIL import Image

    with Image.open(picture) as image:
        return str(image.info.get(ABOUT["png"], ""))


def _write_numbers(frame: pd.DataFrame, file: Path) -> None:
    """What a table can hold: pictures, codes and the like are left out."""
    objects = [name for name in frame if frame[name].dtype == object]
    others = [name for name in objects if not all(map(pd.api.types.is_scalar, frame[name]))]
    kept = frame.drop(columns=others)
    texts = [name for name in kept if kept[name].dtype == "category" or kept[name].dtype == object]
    # Not pandas' own writer, which takes seconds for a hundred thousand rows.
    write_csv(pa.Table.from_pandas(kept.astype(dict.fromkeys(texts, "str")), preserve_index=False), file)


def write_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary name and rename, so that a reader never meets half a file."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
