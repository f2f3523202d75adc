"""How long must a model train? The test ELBO after several numbers of epochs, and where the curve flattens."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.drawing.caption import MEANS
from analysis.drawing.figure import Figure
from analysis.drawing.lines import (
    STAR,
    Look,
    add_floor_axis,
    draw_seeds,
    each_series,
    fit_to_data,
    leave_out_the_far,
    legend_beside,
    scale_lengths,
)
from analysis.drawing.style import QUIET
from analysis.metrics import ANYWHERE
from analysis.tables import Tables
from analysis.tables.configurations import number_configurations
from analysis.tables.entropy_floor import find_floor
from analysis.tables.intervals import mean_interval
from analysis.tables.plateau import plateau_epochs
from analysis.tables.series import (
    NothingToDrawError,
    assign_series,
    finished_with,
    mean_over_seeds,
    spread,
    values_by_seed,
)
from analysis.wording import NATS, ONE_SEED, decimal, plural

NEEDS = ("test/elbo",)
MAX_LATENT_DIMS = 3
SIDE_BY_SIDE = 1.035  # the ratio of the places of neighbours that trained for the same length
GAIN = {"gain": "mean", "gain_low": "low", "gain_high": "high", "gain_by_seed": "by_seed"}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the test ELBO (nats per image), by series, latent_dim and epochs.

    Only configurations that were read off at two or more lengths are shown; of many latent dimensions the
    smallest, median and largest, in a panel each (`row`). plateau_min, plateau_max: the first and the last over
    `plateau_n` of `num_seeds` seeds of the epoch from which on the longest training stays within 1 nat of its plateau.
    all_dims: how many latent dimensions there are. floor: the entropy of the pixels (nats per image), NaN if it is not
    known.

    Where there are means: gain, gain_low, gain_high, gain_n, gain_by_seed are the same of what was gained since the
    shortest length of the series, `first_epochs`, paired by seed.
    """
    trials, history = tables.trials, tables.history
    rows = read_at_lengths(finished_with(trials, NEEDS))
    rows = assign_series(rows, apart_from=["latent_dim", "epochs"]).assign(row=0)
    is_series = not rows["individual"].any()
    if is_series:
        all_dims, shown = rows["latent_dim"].nunique(), spread(rows["latent_dim"], MAX_LATENT_DIMS)
        rows = rows[rows["latent_dim"].isin(shown)]
        rows = rows.assign(row=rows["latent_dim"].map(shown.index))
    frame = mean_over_seeds(rows, "test/elbo", by=["row", "latent_dim", "epochs"]).assign(floor=find_floor(rows))
    rows["configuration"] = number_configurations(trials.loc[rows.index], apart_from=["epochs"])
    if is_series:
        places = rows[["configuration", "series", "latent_dim"]].drop_duplicates()
        frame = frame.merge(_measure_gains(rows), how="left")
        return frame.merge(places).merge(find_plateaus(rows, history)).assign(all_dims=all_dims)
    return frame.merge(rows[["trial_id", "configuration", "seed"]])


def _measure_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns series, latent_dim, epochs and those of the gain over the shortest length (see `compute`)."""
    of_line = ["series", "latent_dim"]
    first = rows["epochs"] == rows.groupby(of_line, observed=True)["epochs"].transform("min")
    begun = rows[first][[*of_line, "seed", "epochs", "test/elbo"]]
    paired = rows.merge(begun, on=[*of_line, "seed"], suffixes=("", "_of_first"))
    paired = paired.assign(
        gain=paired["test/elbo"] - paired["test/elbo_of_first"], first_epochs=paired["epochs_of_first"]
    )
    by = [*of_line, "epochs", "first_epochs"]
    means = mean_interval(paired, "gain", by=by, limits=ANYWHERE).merge(values_by_seed(paired, "gain", by=by), on=by)
    return means.rename(columns={old: new for new, old in GAIN.items()} | {"n": "gain_n"})


def read_at_lengths(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of the configurations (all settings but epochs) that have two or more lengths."""
    lengths = trials["epochs"].groupby(number_configurations(trials, apart_from=["epochs"]))
    rows = trials[lengths.transform("nunique") > 1]
    if rows.empty:
        raise NothingToDrawError("no configuration has trained for two or more lengths")
    return rows


def find_plateaus(rows: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The epoch of plateau of each `configuration` at its greatest length, over its seeds.

    plateau_min, plateau_max: the first and the last over the plateau_n seeds that have one, of num_seeds.
    """
    longest = rows[rows["epochs"] == rows.groupby("configuration")["epochs"].transform("max")]
    epochs = plateau_epochs(history[history["trial_id"].isin(longest["trial_id"])])
    longest = longest.assign(plateau=longest["trial_id"].map(epochs))
    found = longest.groupby("configuration")["plateau"]
    names = {"min": "plateau_min", "max": "plateau_max", "count": "plateau_n", "size": "num_seeds"}
    return found.agg(list(names)).rename(columns=names).reset_index()


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: a row per latent dimension shown."""
    return int(frame["row"].max()) + 1, 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw what each series gained at each length, with its interval, and a star at the first length on its plateau.

    axes: rows and columns as `shape` has them.
    """
    for row, ax in enumerate(axes[:, 0]):
        panel = frame[frame["row"] == row]
        if panel["individual"].any():
            for rows, look in each_series(panel):
                _draw_each_training(ax, rows, look)
            leave_out_the_far(ax, "y", panel["mean"])
            ax.set_ylabel(f"test ELBO ({NATS},\nhigher is better)")
            add_floor_axis(ax, panel["floor"].max())
        else:
            _draw_gains(ax, panel)
        dims = panel["latent_dim"]
        ax.set_title(f"latent dimension {dims.iloc[0]:g}" if dims.nunique() == 1 else "all latent dimensions")
        scale_lengths(ax, panel["epochs"])
        entries: dict[str, Artist] = {str(line.get_label()): line for line in ax.get_legend_handles_labels()[0]}
        if any(line.get_marker() == STAR["marker"] for line in ax.lines):
            entries["the first length within 1 nat of its plateau"] = Line2D([], [], color="white", **STAR)
        legend_beside(ax, entries)
    axes[-1, 0].set_xlabel("epochs of training")


def _draw_gains(ax: Axes, panel: pd.DataFrame) -> None:
    """Draw a dot with its interval for each series and length, side by side, and a thin line from dot to dot."""
    drawn = panel.drop(columns=list(GAIN.values())).rename(columns=GAIN).dropna(subset=["mean"])
    num = drawn["series"].nunique()
    for place, (rows, look) in enumerate(each_series(drawn.sort_values("epochs"))):
        at = rows["epochs"].to_numpy(float) * SIDE_BY_SIDE ** (place - (num - 1) / 2)
        first = panel[(panel["series"] == rows["series"].iloc[0])].sort_values("epochs").iloc[0]
        begun = f"{decimal(first['mean'])} after {plural(int(first['epochs']), 'epoch')}"
        ax.plot(
            at, rows["mean"], **look | {"label": f"{look['label']}, {begun}\n{plateau_note(first)}", "linewidth": 0.9}
        )
        ax.vlines(at, rows["low"], rows["high"], color=look["color"], linewidth=1.6)
        draw_seeds(ax, at * SIDE_BY_SIDE**0.3, rows, look["color"])
        _draw_star(ax, rows.assign(at=at), look)
    since = " and ".join(map(str, sorted(panel["first_epochs"].dropna().astype(int).unique())))
    ax.axhline(0, color=QUIET, linewidth=1, zorder=1)
    fit_to_data(ax, drawn)
    ax.set_ylabel(f"test ELBO gained since\nepoch {since} ({NATS})")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    if frame["individual"].any():
        return "Each configuration and seed on its own, no means: one line is one training, read off at each length."
    means = f"{MEANS} Paired by seed." if (frame["n"] > 1).any() else ONE_SEED
    dims, all_dims = frame["latent_dim"].nunique(), frame["all_dims"].iloc[0]
    some = f" {dims} of {all_dims} latent dimensions are shown." if dims < all_dims else ""
    return (
        f"{means}{some} A plateau is the mean loss of the last tenth of the epochs, or the best such mean if the loss "
        "rises again; there is none yet where the last half of the epochs was still worth more than 1 nat."
    )


def plateau_note(row: pd.Series) -> str:
    """From which epoch on all trainings of a configuration stay within 1 nat of their plateau, if they do."""
    reached, num_seeds = int(row["plateau_n"]), int(row["num_seeds"])
    if not reached:
        return "not yet within 1 nat of a plateau"
    of_seeds = "" if reached == num_seeds else f" ({reached} of {plural(num_seeds, 'seed')})"
    return f"within 1 nat of its plateau from epoch {row['plateau_max']:.0f}{of_seeds}"


def _draw_star(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    """Draw a star at the first of the lengths at which all seeds were on their plateau: nothing else was measured."""
    has_settled = rows["plateau_n"] == rows["num_seeds"]
    there = rows[has_settled & (rows["epochs"] >= rows["plateau_max"])].sort_values("epochs")
    if not there.empty:
        ax.plot(there["at"].iloc[:1], there["mean"].iloc[:1], color=look["color"], zorder=3, **STAR)


def _draw_each_training(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    for _, training in rows.sort_values("epochs").groupby(["configuration", "seed"]):
        ax.plot(training["epochs"], training["mean"], linewidth=0.8, alpha=0.6, markersize=3, **look)
        look = look | {"label": None}  # the legend names the model once


FIGURE = Figure(
    title="What longer training gains in test ELBO",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(6.0, 3.9),
    note=note,
    needs=NEEDS,
    all_lengths=True,
)
