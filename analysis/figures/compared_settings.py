"""What is a choice of network, link, clamp, schedule, scaling or initialisation worth? (the report's sections 4, 7)"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import draw_seeds
from analysis.drawing.style import series_colour
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.entropy_floor import have_comparable_bounds
from analysis.tables.intervals import limits_of, mean_interval
from analysis.tables.series import NothingToDrawError, values_by_seed, varying_settings, varying_within_models
from analysis.wording import NATS, configuration_label, plural, setting_label, value_label

COMPARED = (
    "network",
    "architecture",
    "hidden",
    "activation",
    "pixel_scaling",
    "likelihood",
    "variance",
    "pixel_sd",
    "initialisation",
    "gamma_link",
    "gamma_clamp",
    "kl_from",
    "sharpness_schedule",
    "estimator",
    "selector",
)
MOST_LONG = 8  # rows whose labels have room for two lines
BELOW = 0.18  # of a row, where the dots of seeds lie; as far above it what diverged is told
LOST = "#B3261E"
PANELS = {
    "test/elbo": f"test ELBO\n({NATS},\nhigher is better)",
    "test/elbo_relaxed": f"relaxed test ELBO\n({NATS},\nhigher is better)",
    "test/reconstruction_error": "relative reconstruction\nerror (0 perfect, 1 as\ngood as black)",
}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of each panel's metric, by configuration, with how many trials diverged.

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
    varying = [name for name in within if name in COMPARED]
    if not varying and within == differing:
        raise NothingToDrawError(f"trials differ in none of {', '.join(map(setting_label, COMPARED))}")
    others = [name for name in within if name not in COMPARED]
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
        means = mean_interval(ended, panel, by=keys, limits=limits_of(panel))
        means = means.merge(values_by_seed(ended, panel, by=keys), on=keys)
        frames.append(counts.merge(means, how="left").assign(panel=panel))
    if not frames:
        raise NothingToDrawError("no finished trial has a bound or a reconstruction error")
    frame = pd.concat(frames, ignore_index=True)
    frame["label"] = [_label(row, varying) for row in frame.to_dict("records")]
    return frame


def _label(row: dict[Hashable, Any], varying: list[str]) -> str:
    parts = [value_label(name, row[name]) for name in varying if not pd.isna(row[name])]
    return f"{configuration_label(row, ['alpha'])}\n{', '.join(parts)}".rstrip()


def _order(column: pd.Series) -> pd.Series:
    """What a column is sorted by: lists of widths by their number first."""
    if column.name != "hidden":
        return column
    return column.map(lambda value: "" if pd.isna(value) else f"{value.count(','):3}{value}")


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: one per metric."""
    return 1, frame["panel"].nunique()


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    num = int(frame["num_trials"].max())
    return (
        f"Mean and 95% interval (Student t) over {plural(num, 'seed')} of each configuration, below it a dot for each; "
        "a red cross: trials whose loss was no longer finite; nothing else is averaged."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a row for each configuration and a panel for each metric. axes: (1, panels), which share their rows."""
    labels = list(dict.fromkeys(frame["label"]))
    written = labels if len(labels) <= MOST_LONG else [label.replace("\n", ", ") for label in labels]
    for ax, (panel, rows) in zip(axes[0], frame.groupby("panel", sort=False), strict=True):
        for row in rows.to_dict("records"):
            y = labels.index(row["label"])
            if pd.notna(row["mean"]):
                colour = series_colour(row["model"], float(row["alpha"]))
                ax.plot(row["mean"], y, "o", color=colour)
                ax.hlines(y, row["low"], row["high"], color=colour)
                draw_seeds(ax, np.array([y + BELOW]), pd.DataFrame([row]), colour, horizontal=True)
            if row["num_diverged"] and ax is axes[0, 0]:
                text = f"{row['num_diverged']} of {row['num_trials']} diverged"
                at, place = ax.get_yaxis_transform(), 0.04
                ax.plot([place], [y - BELOW], "x", color=LOST, markersize=7, markeredgewidth=2, transform=at)
                ax.text(place + 0.05, y - BELOW, text, color=LOST, fontsize=9, va="center", transform=at)
        ax.set_xlabel(PANELS[str(panel)])
        ax.set_yticks(range(len(labels)), written)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.grid(axis="y", color="#eeeeee")


FIGURE = Figure(
    title="What each choice of setting reached",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.6, 4.0),
    shares="y",
    shows=("finished", "diverged"),
    note=note,
)
