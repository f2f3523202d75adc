"""Axes to draw on, and figures drawn on them."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as MplFigure

from analysis.drawing.figure import Figure
from analysis.tables import Tables


def make_axes(rows: int = 1, columns: int = 1) -> np.ndarray:
    return MplFigure().subplots(rows, columns, squeeze=False)


def draw(figure: Figure, tables: Tables) -> tuple[pd.DataFrame, np.ndarray]:
    """The frame of a figure, and the axes that show it."""
    frame = figure.compute(tables)
    axes = make_axes(*figure.shape(frame))
    figure.plot(frame, axes)
    return frame, axes


def labels(ax) -> list[str]:
    """What the axes name: at the ends of lines, then in a legend."""
    legend = ax.get_legend()
    return [text.get_text() for text in (*ax.texts, *(legend.get_texts() if legend else ()))]
