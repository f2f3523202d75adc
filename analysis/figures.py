"""All figures of a study, drawn from its tables into PNG and PDF."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis import convergence, elbo_by_latent_dim, rate_distortion, sparsity_by_alpha
from analysis.caption import caption
from analysis.series import NothingToDrawError
from analysis.style import ALPHA, QUIET, drawing_style
from analysis.tables import Tables

# No date and no version of matplotlib in the files: the same tables give the same bytes.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
CHARACTERS_PER_INCH = 14  # of the caption
LEGEND_WIDTH = 3.0  # inches


@dataclass(frozen=True)
class Drawable:
    """One figure: named after the module that computes and plots it. `needs`: columns of the trials."""

    name: str
    title: str
    needs: Sequence[str]
    compute: Callable[[Tables], pd.DataFrame]
    plot: Callable[[pd.DataFrame, np.ndarray], None]
    shape: Callable[[pd.DataFrame], tuple[int, int]] = lambda _: (1, 1)
    panel_size: tuple[float, float] = (6.0, 4.6)  # inches


FIGURES = (
    Drawable(
        "elbo_by_latent_dim",
        "Test ELBO by number of latent dimensions",
        elbo_by_latent_dim.NEEDS,
        lambda tables: elbo_by_latent_dim.compute_elbo_by_latent_dim(tables.trials),
        lambda frame, axes: elbo_by_latent_dim.plot_elbo_by_latent_dim(frame, axes[0, 0]),
    ),
    Drawable(
        "rate_distortion",
        "Rate and distortion on test images after training",
        rate_distortion.NEEDS,
        lambda tables: rate_distortion.compute_rate_distortion(tables.trials),
        lambda frame, axes: rate_distortion.plot_rate_distortion(frame, axes[0, 0]),
    ),
    Drawable(
        "convergence",
        "Loss on training and test images by epoch",
        convergence.NEEDS,
        lambda tables: convergence.compute_convergence(tables.trials, tables.history),
        convergence.plot_convergence,
        convergence.panel_shape,
        (4.0, 2.9),
    ),
    Drawable(
        "sparsity_by_alpha",
        f"Non-zero code entries by the prior's {ALPHA}",
        sparsity_by_alpha.NEEDS,
        lambda tables: sparsity_by_alpha.compute_sparsity_by_alpha(tables.trials),
        lambda frame, axes: sparsity_by_alpha.plot_sparsity_by_alpha(frame, axes[0, 0]),
    ),
)


def draw_figures(tables: Tables, folder: Path, *, on_figure: Callable[[str], None] | None = None) -> list[Path]:
    """Write every figure that the tables can support to `folder`; return the paths, PNG and PDF of each.

    `on_figure` hears one line per figure: its files, or why it was not drawn. A file that an earlier run
    left of a figure which is not drawn now is removed: it would show other trials than its neighbours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say = on_figure or (lambda _: None)
    written: list[Path] = []
    for drawable in FIGURES:
        files = [folder / f"{drawable.name}.{suffix}" for suffix in FORMATS]
        try:
            frame = drawable.compute(tables)
        except NothingToDrawError as reason:
            for file in files:
                file.unlink(missing_ok=True)
            say(f"{drawable.name}: not drawn, {reason}")
            continue
        with drawing_style():
            figure = _compose(drawable, frame, tables)
            for file in files:
                _save(figure, file)
        written += files
        say(f"{drawable.name}: {' and '.join(file.name for file in files)}")
    return written


def _compose(drawable: Drawable, frame: pd.DataFrame, tables: Tables) -> Figure:
    """Title above, panels, caption below."""
    rows, columns = drawable.shape(frame)
    width, height = drawable.panel_size
    size = (columns * width + LEGEND_WIDTH, rows * height + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="row", sharey="row")
    drawable.plot(frame, axes)
    figure.suptitle(drawable.title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    text = caption(tables.trials, drawable.needs, frame, width=int(CHARACTERS_PER_INCH * size[0]))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=QUIET)
    figure.draw_without_rendering()  # lay it out once, not again for each format
    figure.set_layout_engine("none")
    return figure


def _save(figure: Figure, file: Path) -> None:
    """Write to a temporary name and rename, so that a reader never meets half a file."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, format=file.suffix[1:], metadata=FORMATS[file.suffix[1:]])
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
