"""What is a choice of network, link, schedule, initialisation or learning rate worth? (the report's sections 4, 7)"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_seeds, fit_to_data
from analysis.drawing.style import QUIET, series_colour
from analysis.metrics import ANYWHERE, metric_of
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.defaults import DEFAULTS, OF_TRAINING, is_default
from analysis.tables.entropy_floor import have_comparable_bounds
from analysis.tables.intervals import mean_interval
from analysis.tables.series import NothingToDrawError, values_by_seed, varying_settings, varying_within_models
from analysis.tables.significance import LEVEL, MIN_SEEDS, correct_by_holm, estimate_mean
from analysis.wording import (
    NATS,
    configuration_label,
    count_decimals,
    decimal,
    setting_label,
    signed,
    value_label,
)

COMPARED = tuple(DEFAULTS)
MOST_LONG = 8  # rows whose labels have room for two lines
BELOW = 0.18  # of a row, where the dots of seeds lie; as far above it what diverged is told
LOST = "#B3261E"
PANELS = {
    "test/elbo": ("test ELBO", f"{NATS}, higher is better"),
    "test/elbo_relaxed": ("relaxed test ELBO", f"{NATS}, higher is better"),
    "test/reconstruction_error": ("relative reconstruction error", "0 perfect, 1 as good as black; lower is better"),
}
GAIN = {"gain": "mean", "gain_low": "low", "gain_high": "high", "gain_by_seed": "by_seed"}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of each panel's metric, by configuration, with how many trials diverged.

    gain, gain_low, gain_high, gain_n, gain_by_seed: the same of its difference from the default, paired by seed.
    is_default: whether the row is that default, of its model and alpha: the configuration with all settings at their
    defaults or, without one, the first that did not always diverge. Where each model and alpha has one configuration,
    there are no differences.

    A configuration that always diverged has no mean. Bounds are left out where pixels are scaled in several ways, since
    bounds of different images cannot be compared, and likewise with likelihoods. A setting that differs between models
    alone, such as a schedule of one's own, belongs to the model.
    """
    trials = tables.trials
    ended = longest_of_each(trials[trials["status"].isin(["finished", "diverged"])])
    if ended.empty:
        raise NothingToDrawError("no trial has ended")
    differing = varying_settings(ended, apart_from=["model", "alpha"])
    within = varying_within_models(ended, apart_from=["alpha"])
    compared = _list_compared(trials, within)
    varying = [name for name in within if name in compared]
    if not varying and within == differing:
        raise NothingToDrawError(f"trials differ in none of {', '.join(map(setting_label, compared))}")
    others = [name for name in within if name not in compared]
    if others:
        raise NothingToDrawError(f"trials differ in {', '.join(map(setting_label, others))}, too")
    keys = ["model", "alpha", *varying]
    by_status = ended.assign(is_diverged=ended["status"] == "diverged").groupby(keys, dropna=False)["is_diverged"]
    counts = by_status.agg(num_trials="size", num_diverged="sum").reset_index()
    counts = counts.sort_values(keys, key=_order, kind="stable")
    frames = []
    for panel in PANELS:
        if panel not in ended or ended[panel].isna().all() or ("elbo" in panel and not have_comparable_bounds(ended)):
            continue
        means = mean_interval(ended, panel, by=keys, limits=metric_of(panel).limits)
        means = means.merge(values_by_seed(ended, panel, by=keys), on=keys)
        rows = counts.merge(means, how="left").assign(panel=panel)
        frames.append(_compare_with_default(rows, ended, panel, keys, varying))
    if not frames:
        raise NothingToDrawError("no finished trial has a bound or a reconstruction error")
    frame = pd.concat(frames, ignore_index=True)
    frame["label"] = _label_rows(counts, varying) * len(frames)
    return frame


def _list_compared(trials: pd.DataFrame, varying: Sequence[str]) -> Sequence[str]:
    """The settings that can be compared; those of training where a grid varies one: two of them are a figure's own."""
    is_grid = (trials["sampler"] == "grid").all()
    if is_grid and not set(OF_TRAINING) <= set(varying):
        return COMPARED
    return [name for name in COMPARED if name not in OF_TRAINING]


def _compare_with_default(
    rows: pd.DataFrame, ended: pd.DataFrame, panel: str, keys: list[str], varying: list[str]
) -> pd.DataFrame:
    """Add the columns of differences from the default (see `compute`) to the rows of a panel."""
    by = ["model", "alpha"]
    preferred = rows[rows["mean"].notna()].assign(is_other=~is_default(rows, varying))
    chosen = preferred.sort_values("is_other", kind="stable").groupby(by, dropna=False).head(1)
    rows = rows.assign(is_default=rows.index.isin(chosen.index))
    if len(rows) == len(rows.drop_duplicates(by)):
        return rows
    own = ended[[*keys, "seed", panel]]
    base = own.merge(rows.loc[rows["is_default"], keys])[[*by, "seed", panel]]
    paired = own.merge(base, on=[*by, "seed"], suffixes=("", "_of_default"))
    paired["gain"] = paired[panel] - paired[f"{panel}_of_default"]
    gains = mean_interval(paired, "gain", by=keys, limits=ANYWHERE)
    gains = gains.merge(values_by_seed(paired, "gain", by=keys), on=keys)
    names = {new: old for old, new in GAIN.items()} | {"n": "gain_n"}
    return rows.merge(gains.rename(columns=names), on=keys, how="left")


def _label_rows(rows: pd.DataFrame, varying: list[str]) -> list[str]:
    """Name each row's settings; a clamp, which a KL from logits does not use, only where it alone tells rows apart."""
    records = rows.to_dict("records")
    full = [_label(row, varying) for row in records]
    acting = [[name for name in varying if name != "gamma_clamp" or row.get("kl_from") != "logits"] for row in records]
    short = [_label(row, names) for row, names in zip(records, acting, strict=True)]
    return [long if short.count(label) > 1 else label for long, label in zip(full, short, strict=True)]


def _label(row: dict[Hashable, Any], varying: list[str]) -> str:
    parts = [value_label(name, row[name]) for name in varying if not pd.isna(row[name])]
    return f"{configuration_label(row, ['alpha'])}\n{', '.join(parts)}".rstrip()


def _order(column: pd.Series) -> pd.Series:
    """What a column is sorted by: lists of widths by their number first."""
    if column.name != "hidden":
        return column
    return column.map(lambda value: "" if pd.isna(value) else f"{value.count(','):3}{value}")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    num = int(frame["num_trials"].max())
    means = f"mean and 95% interval (Student t) over {num} seeds, below it a dot for each"
    shown = means if num > 1 else "one seed, no interval"
    lost = "A red cross: trials whose loss was no longer finite; nothing else is averaged."
    if "gain" not in frame:
        return f"Of each configuration {shown}. {lost}"
    return (
        "Each configuration less the default one of the same model and prior (hollow, with what it reached), paired by "
        f"seed: {shown}. Each interval is taken alone; what the title calls sure is so after Holm's correction for all "
        f"rows, over {MIN_SEEDS} seeds or more. {lost}"
    )


def find(frame: pd.DataFrame) -> str:
    """The choice that changes most for the better or worse in the first panel, if any surely does.

    Surely: over MIN_SEEDS or more, and by Holm's correction for all rows of the panel, since the largest of many
    differences is named.
    """
    if "gain" not in frame:
        return ""
    panel = frame["panel"].iloc[0]
    name, _ = PANELS[str(panel)]
    rows = frame[(frame["panel"] == panel) & ~frame["is_default"] & (frame["gain_n"] >= MIN_SEEDS)]
    tests = [estimate_mean([float(one) for one in gains.split()], "greater", 0.0) for gains in rows["gain_by_seed"]]
    corrected, _ = correct_by_holm([np.minimum(test.p_for, test.p_against) for test in tests])
    sure = rows[corrected <= LEVEL]
    if sure.empty:
        return f"no difference from the default in {name} is sure"
    row = sure.loc[sure["gain"].abs().idxmax()]
    words = str(row["label"]).replace("\n", ", ")
    return f"{words}: {name} {signed(row['gain'], row['gain_low'], row['gain_high'])}"


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a row for each configuration and a panel for each metric. axes: (1, panels), which share their rows."""
    labels = list(dict.fromkeys(frame["label"]))
    written = labels if len(labels) <= MOST_LONG else [label.replace("\n", ", ") for label in labels]
    for ax, (panel, rows) in zip(axes[0], frame.groupby("panel", sort=False), strict=True):
        name, unit = PANELS[str(panel)]
        if "gain" in frame:
            drawn = rows.drop(columns=list(GAIN.values())).rename(columns=GAIN)
            ax.axvline(0, color=QUIET, linewidth=1, zorder=1)
            name = f"{name} less the default's"
        else:
            drawn = rows
        for row, reached in zip(drawn.to_dict("records"), rows["mean"], strict=True):
            _plot_row(ax, labels.index(row["label"]), row, reached, is_first=ax is axes[0, 0])
        fit_to_data(ax, drawn, axis="x")
        ax.set_xlabel(f"{name}\n({unit})")
        ax.set_yticks(range(len(labels)), written)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.grid(axis="y", color="#eeeeee")


def _plot_row(ax: Axes, y: int, row: dict[Hashable, Any], reached: float, *, is_first: bool) -> None:
    colour = series_colour(row["model"], float(row["alpha"]))
    if "gain_n" in row and row["is_default"]:
        ax.plot(0, y, "o", color=colour, markerfacecolor="white")
        text = decimal(reached, count_decimals(reached, most=2) if abs(reached) < 1 else 1)
        ax.annotate(text, (0, y), (5, 4), textcoords="offset points", fontsize=9, color=QUIET)
    elif pd.notna(row["mean"]):
        ax.plot(row["mean"], y, "o", color=colour)
        ax.hlines(y, row["low"], row["high"], color=colour)
        draw_seeds(ax, np.array([y + BELOW]), pd.DataFrame([row]), colour, horizontal=True)
    if row["num_diverged"]:
        at, place = ax.get_yaxis_transform(), 0.04
        ax.plot([place], [y - BELOW], "x", color=LOST, markersize=7, markeredgewidth=2, transform=at)
        if is_first:
            text = f"{row['num_diverged']} of {row['num_trials']} diverged"
            # On paper of their own, above the line at zero, which would strike the words through, and below the data.
            box = {"facecolor": "white", "linewidth": 0, "pad": 1}
            ax.text(
                place + 0.05, y - BELOW, text, color=LOST, fontsize=9, va="center", transform=at, bbox=box, zorder=1.5
            )


FIGURE = Figure(
    title="What each choice of setting is worth",
    finding=find,
    compute=compute,
    plot=plot,
    panel_size=(3.6, 4.0),
    shares="y",
    shows=("finished", "diverged"),
    note=note,
)
