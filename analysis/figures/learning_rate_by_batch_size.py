"""Does the best learning rate depend on the batch size, and does the batch size matter at the best one?"""

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from analysis.drawing.figure import Figure
from analysis.drawing.panels import each_panel
from analysis.tables import Tables
from analysis.tables.configurations import number_configurations, short_labels
from analysis.tables.objectives import COUNTED, final_values, goal_label, goals
from analysis.tables.series import NothingToDrawError, spread, varying_settings
from analysis.wording import plural, short_value, with_minus

MAX_PANELS = 6
MOST_FOUND = 2  # panels whose best is told above the figure
MAX_UPRIGHT_TICKS = 5
PANEL_SIZE = (4.2, 3.5)  # inches
COLOURS = mpl.colormaps["cividis"]  # as readers without red or green see it too; light is better


def compute(tables: Tables) -> pd.DataFrame:
    """One row per configuration (`panel`), batch_size and learning_rate of a grid: what its trials reached.

    value: mean over the n of num_trials seeds that have one of the first objective, the test ELBO if that is
    the test loss. by_seed: those values. state: why there is no value. is_shown: whether the panel is one of the few
    that are drawn.
    """
    trials, history = tables.trials, tables.history
    if trials.empty:
        raise NothingToDrawError("no trial has finished")
    rows = trials.assign(panel=_number_grids(trials))
    rows = rows[rows["panel"] >= 0]
    if rows.empty:
        raise NothingToDrawError("the learning rates and batch sizes form no grid")
    metric, is_maximised = goals(rows)[0]
    if metric == "test/loss":
        metric, is_maximised = "test/elbo", True
        measured = rows[metric] if metric in rows else pd.Series(np.nan, rows.index)
        rows["reached"] = measured.where(rows["status"] == "finished")
    else:
        rows["reached"] = final_values(rows, history)[metric].to_numpy()
    if rows["reached"].isna().all():
        raise NothingToDrawError(f"no trial of the grid has a value of {metric}")
    groups = rows.groupby(["panel", "batch_size", "learning_rate"])
    cells = groups.agg(
        value=("reached", "mean"), n=("reached", "count"), num_trials=("reached", "size"), state=("status", _state)
    ).assign(by_seed=groups[["seed", "reached"]].apply(lambda cell: cell.set_index("seed")["reached"].to_dict()))
    levels = [np.unique(rows[name]) for name in cells.index.names]
    cells = cells.reindex(pd.MultiIndex.from_product(levels, names=cells.index.names)).reset_index()
    cells = cells.fillna({"n": 0, "num_trials": 0, "state": "missing"})
    first = rows.drop_duplicates("panel").sort_values("panel")
    varying = varying_settings(rows[trials.columns], apart_from=["learning_rate", "batch_size", "alpha"])
    labels = short_labels(first, ["alpha", *varying])
    return cells.assign(
        label=cells["panel"].map(dict(zip(first["panel"], labels, strict=True))),
        metric=metric,
        is_maximised=is_maximised,
        is_shown=cells["panel"].isin(spread(cells["panel"], MAX_PANELS)),
    )


def best_cell(cells: pd.DataFrame) -> pd.Series:
    """The cell with the best value of one panel, or of part of it: among those in which the most seeds have one."""
    complete = cells[(cells["n"] == cells["n"].max()) & cells["value"].notna()]
    ordered = complete.sort_values("value", ascending=not complete["is_maximised"].all(), kind="stable")
    best: pd.Series = ordered.iloc[0]
    return best


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one per configuration, at most three beside each other."""
    num = frame["panel"][frame["is_shown"]].nunique()
    columns = num if num <= 3 else (num + 1) // 2
    return -(-num // columns), columns


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a map per configuration with the value in each cell, and a frame around the best.

    axes: rows and columns as `shape` has them.
    """
    shown = frame[frame["is_shown"]]
    for ax, (_, cells) in each_panel(axes, shown.groupby("panel")):
        _draw_map(ax, cells)
        ax.set_title(textwrap.fill(cells["label"].iloc[0], 45))
        ax.set_xlabel("learning rate")
    for ax in axes[:, 0]:
        ax.set_ylabel("batch size (images)")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    metric = goal_label(frame["metric"].iloc[0], is_maximised=bool(frame["is_maximised"].iloc[0]))
    mean = "mean over seeds of the " if frame["num_trials"].max() > 1 else ""
    num, num_shown = frame["panel"].nunique(), frame["panel"][frame["is_shown"]].nunique()
    some = f" {num_shown} of {plural(num, 'configuration')} are shown." if num_shown < num else ""
    return (
        f"Each cell: {mean}{metric}. Framed: the best of its panel; lighter is better, on each panel's own scale. "
        f"Hatched: no value.{some}"
    )


def find(frame: pd.DataFrame) -> str:
    """The best learning rate and batch size of each panel, of two at most."""
    panels = [cells for _, cells in frame[frame["is_shown"] & frame["value"].notna()].groupby("panel")]
    if len(panels) > MOST_FOUND:
        return ""
    found = [(str(cells["label"].iloc[0]), best_cell(cells)) for cells in panels]
    words = (f"{label}, {best['learning_rate']:g} with {best['batch_size']:g} images" for label, best in found)
    return f"best of {'; '.join(words)}"


def _number_grids(trials: pd.DataFrame) -> pd.Series:
    """A number from 0 for each configuration of which a grid of 2 x 2 or more was planned; -1 for other trials."""
    columns = ["learning_rate", "batch_size"]
    if (trials["sampler"] != "grid").any() or (trials[columns].nunique() < 2).any():
        return pd.Series(-1, index=trials.index)
    configuration = number_configurations(trials, apart_from=columns)
    is_grid = trials[columns].groupby(configuration)[columns].apply(_is_grid)
    numbers = (is_grid.cumsum() - 1).where(is_grid, -1)
    return configuration.map(numbers)


def _is_grid(rows: pd.DataFrame) -> bool:
    """Whether two learning rates were planned at the same two batch sizes."""
    planned = pd.crosstab(rows["batch_size"], rows["learning_rate"]).to_numpy() > 0
    shared = planned.astype(int) @ planned.T.astype(int)  # learning rates that two batch sizes have in common
    return bool((np.triu(shared, 1) >= 2).any())


def _state(statuses: pd.Series) -> str:
    """The status of the trials of a cell: the worst of them, if they differ."""
    order = ("diverged", "failed", "running", "stopped", "finished")
    return next(status for status in order if (statuses == status).any())


def _draw_map(ax: Axes, cells: pd.DataFrame) -> None:
    wide = cells.pivot(index="batch_size", columns="learning_rate", values="value")
    rates, sizes = list(wide.columns), list(wide.index)
    goodness = (wide if cells["is_maximised"].all() else -wide).to_numpy(float)
    scale = _scale(goodness)
    ax.imshow(goodness, cmap=COLOURS, norm=scale, origin="lower", aspect="auto")
    ax.grid(visible=False)
    width = 0.6 * PANEL_SIZE[0] * 72 / len(rates)  # points
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": min(10.0, max(4.0, width / 4.5))}
    for cell in cells.to_dict("records"):
        x, y = rates.index(cell["learning_rate"]), sizes.index(cell["batch_size"])
        if np.isnan(cell["value"]):
            _frame(ax, x, y, facecolor="white", edgecolor="#bbbbbb", linewidth=0, hatch="///")
            box = {"facecolor": "white", "linewidth": 0, "pad": 1}
            ax.text(x, y, cell["state"], color="black", bbox=box, **style)
        else:
            ax.text(x, y, _cell_text(cell), color=_text_colour(scale(goodness[y, x])), **style)
    if np.isfinite(goodness).any():
        best = best_cell(cells)
        x, y = rates.index(best["learning_rate"]), sizes.index(best["batch_size"])
        _frame(ax, x, y, facecolor="none", edgecolor="#D55E00", linewidth=3)
    ax.set_xticks(range(len(rates)), [short_value(float(rate)) for rate in rates])
    ax.set_yticks(range(len(sizes)), [short_value(float(size)) for size in sizes])
    if len(rates) > MAX_UPRIGHT_TICKS:
        ax.tick_params(axis="x", rotation=45)


def _frame(ax: Axes, x: int, y: int, **look: Any) -> None:
    inset = 0.01 * look["linewidth"]  # a thick line stays inside its cell
    ax.add_patch(Rectangle((x - 0.5 + inset, y - 0.5 + inset), 1 - 2 * inset, 1 - 2 * inset, **look))


def _scale(goodness: np.ndarray) -> Normalize:
    """Colours from the worst to the best; what is far worse than the rest is clipped, or the rest would look alike."""
    if not np.isfinite(goodness).any():
        return Normalize(0, 1)
    best, middle, worst = np.nanmax(goodness), np.nanmedian(goodness), np.nanmin(goodness)
    low = max(worst, best - 4 * (best - middle)) if middle < best else worst
    return Normalize(low, best if best > low else low + 1, clip=True)


def _text_colour(position: float) -> str:
    """Black on the light end of the colours, white on the dark end."""
    red, green, blue, _ = COLOURS(position)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _cell_text(cell: dict[Any, Any]) -> str:
    value = cell["value"]
    decimals = 1 if abs(value) >= 10 else 3
    text = with_minus(f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:.0e}")
    return text if cell["n"] == cell["num_trials"] else f"{text}\n({cell['n']:.0f} of {cell['num_trials']:.0f})"


FIGURE = Figure(
    title="What each learning rate reached, by batch size",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=PANEL_SIZE,
    shares="y",
    shows=COUNTED,
    note=note,
    finding=find,
    all_lengths=True,
)
