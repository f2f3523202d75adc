"""What a mark of a figure stands for, told when it is pointed at: an SVG shows a `title` of each."""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure as MplFigure
from matplotlib.ticker import FixedLocator

from analysis.wording import with_minus

MARK = re.compile(r'<use [^>]*?\bx="([-\d.]+)" y="([-\d.]+)"[^>]*?/>')
NEAR = 0.6  # points, from a mark to the place of its data

Told = Mapping[str, list[tuple[float, float, str]]]  # by the id of a group of marks: x and y (points), and the text


def name_marks(sheet: MplFigure) -> Told:
    """Give the lines and points of a figure an id each; returns what each of their marks stands for."""
    height = 72 * sheet.get_figheight()
    told: dict[str, list[tuple[float, float, str]]] = {}
    for ax in sheet.axes:
        writers = [_writer(axis) for axis in (ax.xaxis, ax.yaxis)]
        for artist, points in _list_marks(ax):
            name = f"marks-{len(told)}"
            artist.set_gid(name)
            label = str(artist.get_label()).partition("\n")[0]
            named = [] if label.startswith("_") else [label]
            told[name] = []
            for (x, y), point in zip(ax.transData.transform(points) * 72 / sheet.dpi, points, strict=True):
                if np.isfinite([x, y]).all():
                    values = [write(float(at)) for write, at in zip(writers, point, strict=True)]
                    told[name].append((x, height - y, "\n".join([*named, *filter(None, values)])))
    return told


def tell_marks(svg: str, told: Told) -> str:
    """The same SVG with a title in each mark that is told, and without ids of groups, to which nothing refers."""

    def tell(group: re.Match[str]) -> str:
        marks = told[group[1]]

        def with_title(mark: re.Match[str]) -> str:
            x, y = float(mark[1]), float(mark[2])
            near = min(marks, key=lambda one: abs(one[0] - x) + abs(one[1] - y), default=None)
            if near is None or abs(near[0] - x) + abs(near[1] - y) > NEAR:
                return mark[0]
            return f"{mark[0].removesuffix('/>')}><title>{html.escape(near[2])}</title></use>"

        return MARK.sub(with_title, group[0])

    svg = re.sub(r'<g id="(marks-\d+)">.*?\n</g>\n</g>', tell, svg, flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", svg)


def _list_marks(ax: Axes) -> Iterator[tuple[Any, np.ndarray]]:
    """The lines that have markers and the clouds of points, in the coordinates of the data."""
    for line in ax.lines:
        if line.get_marker() not in ("None", None, "", " ") and line.get_transform() == ax.transData:
            yield line, np.asarray(line.get_xydata(), float)
    for cloud in ax.collections:
        if isinstance(cloud, PathCollection) and not cloud.get_rasterized():
            yield cloud, np.ma.filled(np.ma.asarray(cloud.get_offsets(), float), np.nan)


def _writer(axis: Axis) -> Callable[[float], str]:
    """What writes a value by the name of its axis; by that of its tick, where ticks are words."""
    name = " ".join(axis.get_label_text().split()).partition(" (")[0]
    words: dict[float, str] = {}
    if isinstance(axis.get_major_locator(), FixedLocator):
        texts = [" ".join(label.get_text().split()) for label in axis.get_ticklabels()]
        if not all(re.fullmatch(r"[\d.,]*", text) for text in texts):
            words = dict(zip(axis.get_ticklocs(), texts, strict=False))

    def write(at: float) -> str:
        if words:
            nearest = min(words, key=lambda tick: abs(tick - at))
            return words[nearest] if abs(nearest - at) < 0.5 else ""
        number = with_minus(f"{at:.5g}")
        return f"{name}: {number}" if name else number

    return write
