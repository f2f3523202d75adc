"""What figures of pictures are drawn with: pictures, tables of pictures, codes."""

from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from analysis.drawing.style import QUIET

BLACK_TO_WHITE: dict[str, Any] = {
    "cmap": "gray",
    "vmin": 0,
    "vmax": 255,
    "interpolation": "nearest",
}  # 255 is white, as it was stored
SMALL = 8.5
FAINT = "#aaaaaa"  # of entries beside a marked one, which may be a dark tint
COLUMN_NAME = 7.0  # points: smaller letters are not legible, larger ones meet


def draw_picture(ax: Axes, picture: np.ndarray) -> None:
    """Draw one picture, (H, W) or (H, W, 3) uint8, without axes."""
    draw_pictures(ax, picture[None, None])


def draw_pictures(ax: Axes, pictures: np.ndarray) -> None:
    """Draw a table of pictures, (rows, columns, H, W) or (rows, columns, H, W, 3), 0 to 255, NaN where there is none.

    The middle of each is at (column, row).
    """
    rows, columns, height, width, *colours = pictures.shape
    gap = max(1, min(height, width) // 28)  # on every side, so that middles are at whole numbers
    tiles = np.full((rows, columns, height + 2 * gap, width + 2 * gap, *colours), np.nan)
    tiles[:, :, gap:-gap, gap:-gap] = pictures
    table = tiles.swapaxes(1, 2).reshape(rows * tiles.shape[2], columns * tiles.shape[3], *colours)
    if colours:  # of which none would be drawn as black
        is_drawn = np.isfinite(table[..., :1])
        table = np.concatenate([np.nan_to_num(table), 255 * is_drawn], axis=-1).astype(np.uint8)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    ax.imshow(table, extent=extent, aspect=tiles.shape[2] / tiles.shape[3], **BLACK_TO_WHITE)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.spines[:].set_visible(False)


def name_rows(ax: Axes, names: list[str]) -> None:
    """Write a name to the left of each row of a table of pictures."""
    ax.set_yticks(range(len(names)), names)


def name_columns(ax: Axes, names: list[str]) -> None:
    """Write a name above each column of a table of pictures; where neighbours share it, above their middle."""
    shared = [list(columns) for _, columns in groupby(range(len(names)), key=names.__getitem__)]
    ax.set_xticks([float(np.mean(columns)) for columns in shared], [names[columns[0]] for columns in shared])
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", length=0, labelsize=COLUMN_NAME)


def mark_column(ax: Axes, column: int, num_rows: int, colour: str) -> None:
    """Draw a frame around one column of a table of pictures."""
    look: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 1.8, "clip_on": False}
    ax.add_patch(Rectangle((column - 0.5, -0.5), 1, num_rows, **look))


def draw_code(ax: Axes, code: np.ndarray, colour: str, *, marked: int | None = None) -> None:
    """Draw a stem for each entry of a code, (D,), that is not zero; where one is marked, the others are gray."""
    latents = np.flatnonzero(code)
    colours = [colour if marked in (None, latent) else FAINT for latent in latents]
    ax.axhline(0, color=QUIET, linewidth=0.6)
    ax.vlines(latents, 0, code[latents], colors=colours, linewidth=1.2)
    ax.scatter(latents, code[latents], s=9, c=colours, zorder=3)
    margin = 0.03 * len(code) + 0.5
    ax.set_xlim(-margin, len(code) - 1 + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.margins(y=0.15)
    ax.grid(visible=False, axis="x")
    ax.tick_params(labelsize=SMALL)
