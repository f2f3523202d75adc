"""A figure as a file: PNG, PDF or SVG, which say in their metadata what they show."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MplFigure

from analysis.drawing.marks import name_marks, tell_marks
from analysis.files import write_atomically

ABOUT = {"png": "Description", "pdf": "Subject"}  # where a file says what stands under the figure
HEAVY = 110_000  # characters from which an SVG weighs more than the PNG of the same figure
MANY_MARKS = 650  # that make an SVG so heavy, with what each of them tells, that it is not even tried
FONTS = "'DejaVu Sans', Verdana, sans-serif"  # Verdana is as wide: text stays in its place where the first is missing
NUMBERS = re.compile(r'\b(?:d|x|y|x1|y1|x2|y2|width|height|points|transform)="[^"]*"')
LONG = re.compile(r"(\.\d\d)\d+")


@dataclass(frozen=True)
class About:
    """What a figure shows, and how to read it."""

    title: str
    caption: str


def save(sheet: MplFigure, file: Path, about: About) -> None:
    """Write one file without date or version of matplotlib, so that the same tables give the same bytes."""
    kind = file.suffix[1:]
    told = {"Title": about.title, ABOUT[kind]: about.caption}
    if kind == "png":
        write_atomically(file, partial(_save_pixels, sheet, told))
    else:
        metadata = told | dict.fromkeys(["CreationDate", "Creator", "Producer"])
        write_atomically(file, lambda part: sheet.savefig(part, format=kind, metadata=metadata))


def save_lightest(sheet: MplFigure, stem: Path, about: About) -> Path:
    """Write lines and points as SVG; pictures, or what has too many points for that, as PNG. Returns the file.

    Each mark of an SVG says its values when it is pointed at. Names in it are made from those of the file and of its
    folder, so that a page can hold several.
    """
    has_pictures = any(own.images for ax in sheet.axes for own in (ax, *ax.child_axes))
    told = {} if has_pictures else name_marks(sheet)
    if not has_pictures and sum(map(len, told.values())) < MANY_MARKS:
        text = _as_svg(sheet, about, salt=f"{stem.parent.name}/{stem.name}")
        if len(text) < HEAVY and "<image" not in text:
            file = stem.with_name(f"{stem.name}.svg")
            write_atomically(file, partial(Path.write_text, data=tell_marks(text, told), encoding="utf-8"))
            return file
    file = stem.with_name(f"{stem.name}.png")
    save(sheet, file, about)
    return file


def read_about(picture: Path) -> About:
    """What a figure shows and what stands under it, from the PNG or SVG file that holds it."""
    if picture.suffix == ".svg":
        text = picture.read_text(encoding="utf-8")
        found = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("title", "desc"))
        title, caption = (html.unescape(match[1]) if match else "" for match in found)
        return About(title, caption)
    from PIL import Image

    with Image.open(picture) as image:
        return About(str(image.info.get("Title", "")), str(image.info.get(ABOUT["png"], "")))


def _as_svg(sheet: MplFigure, about: About, *, salt: str) -> str:
    """The figure with text as text, lengths to a hundredth of a point, and what it shows in front."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        buffer = StringIO()
        sheet.savefig(buffer, format="svg", metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE.*?>", "", text, flags=re.DOTALL)
    text = NUMBERS.sub(lambda match: LONG.sub(r"\1", match[0]), text)
    text = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", FONTS, text)
    text = re.sub(r"\n\s*", "\n", text)
    told = f"<title>{html.escape(about.title)}</title><desc>{html.escape(about.caption)}</desc>"
    return re.sub(r"(<svg [^>]*>)", lambda match: match[1] + told, text, count=1)


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
