"""How far has training come: the loss on training images and on images not seen in training, epoch by epoch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from analysis.drawing.caption import name_models
from analysis.drawing.figure import Figure
from analysis.drawing.lines import (
    BAND_OPACITY,
    MAX_VECTOR_LINES,
    PLAIN_NUMBER,
    STAR,
    Look,
    count_label,
    each_series,
    leave_out_the_far,
)
from analysis.drawing.style import level_colour, variant_colour
from analysis.tables import Tables
from analysis.tables.configurations import decisive_length, longest_of_each
from analysis.tables.plateau import plateau_epochs
from analysis.tables.reported_numbers import OTHER_SETTINGS, are_as_reported, load_training_curves
from analysis.tables.series import (
    SERIES_COLUMNS,
    NothingToDrawError,
    assign_series,
    finished_with,
    mean_over_seeds,
    spread,
)
from analysis.wording import EACH_TRIAL, NATS, ONE_SEED, model_label

# Where images are held out, each epoch is measured on them, and on the test images only the end of training.
MIN_SEEDS = 3  # with fewer, an interval is so wide that its band covers everything
LOSSES = {"test": "test/loss", "validation": "val/loss", "train": "train/loss"}
LINE_STYLES: dict[str, Any] = {"test": "-", "validation": ":", "train": "--"}
MAX_LATENT_DIMS = 3
EPOCHS_OF_MANY = 30
REPORTED: dict[str, Any] = {"color": "#999999", "linewidth": 1.4, "zorder": 1}
MANY_EPOCHS = 20  # from which on the axis is logarithmic


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the loss (nats per image), by series, latent_dim, split and epoch.

    Of many latent dimensions, each model shows its smallest, median and largest. `row` is the row of the
    model's panel: one per latent dimension, or one for all if trials are shown individually. Of trials that
    share a training, the longest is shown. plateau: the epoch from which on the loss of every seed stays
    within 1 nat of its plateau; NaN where some seed comes to none. all_dims: how many latent dimensions there are.
    reported: the report's own loss, a column only where the study is that of its Figure 7.
    """
    trials, history = tables.trials, tables.history
    losses = history.reindex(columns=["trial_id", "epoch", *LOSSES.values()])
    losses["val/loss"] = losses["val/loss"].where(losses["test/loss"].isna())
    losses = losses.dropna(subset=list(LOSSES.values()), how="all")
    rows = finished_with(trials, [])
    rows = longest_of_each(rows[rows["trial_id"].isin(losses["trial_id"])])
    if rows.empty:
        raise NothingToDrawError("no finished trial has a loss in the history")
    rows = assign_series(rows.assign(epochs=decisive_length(rows)), apart_from=["latent_dim"]).assign(row=0)
    all_dims = rows["latent_dim"].nunique()
    if not rows["individual"].any():
        panels = [
            of_model[of_model["latent_dim"] == latent_dim].assign(row=row)
            for _, of_model in rows.groupby("model")
            for row, latent_dim in enumerate(spread(of_model["latent_dim"], MAX_LATENT_DIMS))
        ]
        rows = pd.concat(panels)
    plateaus = _find_plateaus(rows, history)
    shared = ["trial_id", *SERIES_COLUMNS, "latent_dim", "row"]
    epochs = rows[shared].merge(losses, on="trial_id")
    by = ["row", "latent_dim", "epoch"]
    means = [
        mean_over_seeds(epochs, loss, by=by, each_seed=False).assign(split=split)
        for split, loss in LOSSES.items()
        if epochs[loss].notna().any()
    ]
    frame = pd.concat(means, ignore_index=True).merge(plateaus, how="left").assign(all_dims=all_dims)
    return _add_reported(frame, rows)


def _add_reported(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the report's own losses where its Figure 7 shows them, and the trials are trained as its was."""
    if rows["individual"].any() or not are_as_reported(rows, tuple(OTHER_SETTINGS), but_for=("epochs",)).all():
        return frame
    curves = load_training_curves(str(rows["dataset"].iloc[0]))
    curves = curves.rename(columns={"train_loss": "train", "test_loss": "test"})
    key = ["model", "alpha", "latent_dim", "epoch"]
    return frame.merge(curves.melt(key, ["train", "test"], "split", "reported"), how="left", on=[*key, "split"])


def _find_plateaus(rows: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The last epoch of plateau over seeds, by series and latent_dim; NaN where trials stand alone.

    NaN, too, where some seed has none: one of those that settled is an epoch at which others still fall.
    """
    if rows["individual"].any():
        return rows[["series", "latent_dim"]].drop_duplicates().assign(plateau=np.nan)
    found = plateau_epochs(history[history["trial_id"].isin(rows["trial_id"])])
    plateaus = rows.assign(plateau=rows["trial_id"].map(found)).groupby(["series", "latent_dim"], observed=True)
    return plateaus["plateau"].agg(lambda epochs: epochs.max(skipna=False)).reset_index()


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: a column per model, a row per latent dimension shown."""
    return int(frame["row"].max()) + 1, frame["model"].nunique()


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one column of panels per model; colour tells series apart, line style the images of a loss.

    axes: rows and columns as `shape` has them.
    """
    handles: dict[str, Line2D] = {}
    for column, (model, of_model) in enumerate(frame.groupby("model")):
        for row in range(len(axes)):
            panel, ax = of_model[of_model["row"] == row], axes[row, column]
            ax.set_visible(not panel.empty)
            if panel.empty:
                continue
            for rows, look in each_series(panel):
                individual = bool(rows["individual"].any())
                if individual and of_model["variant"].any():
                    names = sorted(of_model["series"].cat.codes.unique())
                    look |= {"color": level_colour(names.index(rows["series"].cat.codes.iloc[0]), len(names))}
                elif variant := int(rows["variant"].iloc[0]):  # by colour, as line styles tell the images apart
                    look |= {"color": variant_colour(str(model), variant)}
                (_draw_each_trial if individual else _draw_mean)(ax, rows, look)
                in_legend = look | {"linestyle": "-", "marker": "" if individual else look["marker"]}
                series = rows["series"].iloc[0]  # of which panels may have different numbers of seeds
                label = f"{series} ({count_label(frame[frame['series'] == series])})"
                handles.setdefault(label, Line2D([], [], **in_legend))
            dims = panel["latent_dim"]
            alike = f"latent dimension {dims.iloc[0]:g}" if dims.nunique() == 1 else ""
            ax.set_title(", ".join(filter(None, [model_label(str(model)), alike or "all latent dimensions"])))
            _scale_epochs(ax, panel["epoch"])
    if frame["individual"].any():
        leave_out_the_far(axes[0, -1], "y", frame["mean"])  # the axes of a row share y
    for of_column in axes.T:
        [ax for ax in of_column if ax.get_visible()][-1].set_xlabel("epoch")
    for of_row in axes:
        first = next(ax for ax in of_row if ax.get_visible())
        first.set_ylabel(f"loss that is trained\n({NATS}, lower is better)")
        first.tick_params(labelleft=True)
    for split in frame["split"].unique():
        handles[f"{split} images"] = Line2D([], [], color="#444444", linestyle=LINE_STYLES[split])
    if "reported" in frame:
        handles["the report's own"] = Line2D([], [], **REPORTED)
    if frame["plateau"].notna().any() and not frame["individual"].any():
        handles["from here on within 1 nat of its plateau"] = Line2D([], [], color="white", **STAR)
    axes[0, -1].legend(handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _scale_epochs(ax: Axes, epochs: pd.Series) -> None:
    """Take a log axis where there are many: most of the loss falls in the first of them."""
    if epochs.nunique() == 1:
        ax.set_xlim(epochs.iloc[0] - 1, epochs.iloc[0] + 1)
    if epochs.max() < MANY_EPOCHS:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(PLAIN_NUMBER)
    ax.xaxis.set_minor_locator(NullLocator())


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and how its loss differs from the bound."""
    if frame["individual"].any():
        text = EACH_TRIAL
    else:
        has_bands = (frame["n"] >= MIN_SEEDS).any()
        text = (
            "Mean and 95% interval (Student t) over seeds."
            if has_bands
            else "Mean over seeds, too few for an interval."
        )
        text = text if (frame["n"] > 1).any() else ONE_SEED
        if (all_dims := frame["all_dims"].max()) > (dims := frame["latent_dim"].nunique()):
            text += f" {dims} of {all_dims} latent dimensions are shown."
    if "reported" in frame:
        text += " Grey: the report's own losses, of one run, which its Figure 7 shows."
    if models := name_models(frame, with_alpha=True):
        text += (
            f" A {models} is trained on relaxed samples, unless its estimator is another. In them latents that should "
            "be zero leak: its test ELBO, of samples that are exactly sparse, is worse than minus this loss, the more "
            "so the smaller alpha."
        )
    return text


def _draw_mean(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    for split, line in rows.groupby("split"):
        x, mean, low, high = (line[name].to_numpy(float) for name in ("epoch", "mean", "low", "high"))
        label = f"{rows['series'].iloc[0]}, {split}"
        style = look | {"linestyle": LINE_STYLES[str(split)], "label": label}
        if split == "train":
            style |= {"marker": ""} if len(x) > 1 else {"fillstyle": "none"}
        ax.plot(x, mean, markevery=_places_of_markers(x), **style)
        epoch = float(line["plateau"].iloc[0])
        if split != "train" and np.isfinite(epoch):
            ax.plot([epoch], [np.interp(epoch, x, mean)], color=look["color"], zorder=3, **STAR)
        if "reported" in line:
            ax.plot(x, line["reported"], **REPORTED | {"linestyle": LINE_STYLES[str(split)]})
        if line["n"].min() >= MIN_SEEDS:
            ax.fill_between(x, low, high, color=look["color"], alpha=BAND_OPACITY, linewidth=0)


def _places_of_markers(epochs: np.ndarray) -> list[int]:
    """Six places for markers, evenly on the axis as it is scaled."""
    if epochs.max() < MANY_EPOCHS:
        return list(range(0, len(epochs), max(1, len(epochs) // 6)))
    wanted = np.geomspace(epochs.min(), epochs.max(), 6)
    return sorted({int(np.abs(epochs - epoch).argmin()) for epoch in wanted})


def _draw_each_trial(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    for split, lines in rows.groupby("split"):
        wide = lines.pivot(index="trial_id", columns="epoch", values="mean")
        if len(wide) > MAX_VECTOR_LINES:  # nobody can follow one of so many lines, so a few epochs are enough
            places = np.linspace(0, len(wide.columns) - 1, min(len(wide.columns), EPOCHS_OF_MANY)).round().astype(int)
            wide = wide.iloc[:, places]
        epochs = wide.columns.to_numpy(float)
        opacity = min(0.6, max(0.04, 12 / len(wide))) * (0.6 if split == "train" else 1)
        collection = LineCollection(
            [np.column_stack([epochs, losses]) for losses in wide.to_numpy(float)],
            colors=look["color"],
            linestyles=LINE_STYLES[str(split)],
            linewidths=0.9,
            alpha=opacity,
            rasterized=len(wide) > MAX_VECTOR_LINES,
            label=f"{rows['series'].iloc[0]}, {split}",
        )
        ax.add_collection(collection)
    ax.autoscale_view()


FIGURE = Figure(
    title="Loss by epoch, on training images and on unseen ones",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(4.0, 2.9),
    note=note,
)
