"""How well do classifiers read the class off a code, by the number of latent dimensions? (the report's Figure 2)

Two classifiers are the report's, as its code has it and as its text has it, on the means mu of the slab. The others are
sound ones: on mu, and on the sparse code as gamma * mu and as hard samples z.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.drawing.caption import name_models
from analysis.drawing.figure import Figure
from analysis.drawing.lines import (
    count_label,
    draw_reported,
    draw_series,
    each_series,
    legend_beside,
    scale_accuracy,
    scale_x,
)
from analysis.drawing.panels import each_panel
from analysis.tables import Tables
from analysis.tables.accuracies import accuracy_note, mean_accuracy, without_dead
from analysis.tables.configurations import longest_of_each
from analysis.tables.reported_numbers import are_as_reported, load_curves
from analysis.tables.series import assign_series, finished_with
from analysis.wording import plural

AS_CODED = "probe/report_coded_mu_5k_accuracy"
NEEDS = (AS_CODED,)
PANELS = {
    AS_CODED: "as the report codes it: one layer,\nReLU on its logits, 5,000 labels",
    "probe/report_written_mu_5k_accuracy": "as the report writes it:\ntwo layers, 5,000 labels",
    "probe/linear_mu_all_accuracy": "logistic regression on μ,\nall labels",
    "probe/mlp_mu_all_accuracy": "multilayer perceptron on μ,\nall labels",
    "probe/mlp_gamma_mu_all_accuracy": "multilayer perceptron on γμ,\nall labels",
    "probe/mlp_z_all_accuracy": "multilayer perceptron on z,\nall labels",
    "probe/knn_mu_all_accuracy": "nearest neighbours on μ,\nall labels",
    "probe/knn_gamma_mu_all_accuracy": "nearest neighbours on γμ,\nall labels",
    "probe/knn_z_all_accuracy": "nearest neighbours on z,\nall labels",
}


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds and images of the test accuracy (0 to 1), by panel, series and latent_dim.

    Runs of the report's own classifier in which a logit died are left out; num_dead counts them, of num_runs.
    `reported`: the report's own value where trials are trained as its were.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    is_beside = bool(are_as_reported(rows).all()) and rows["dataset"].nunique() == 1
    curves = load_curves("accuracy", rows["dataset"].iloc[0] if is_beside else "").rename(columns={"value": "reported"})
    frames = []
    for panel, column, title, shown in each_classifier(rows):
        means = mean_accuracy(shown, column).assign(panel=panel, title=title)
        means = means.merge(curves, on=["model", "alpha", "latent_dim"], how="left")
        if column != AS_CODED:
            means["reported"] = np.nan
        frames.append(means)
    return pd.concat(frames, ignore_index=True).assign(**count_dead(rows))


def each_classifier(rows: pd.DataFrame) -> Iterator[tuple[int, str, str, pd.DataFrame]]:
    """Each panel with its column, title and rows that count: of the report's own, those without a dead logit."""
    for panel, (column, title) in enumerate(PANELS.items()):
        if column in rows and rows[column].notna().any():
            yield panel, column, title, without_dead(rows, column)


def count_dead(rows: pd.DataFrame) -> dict[str, int]:
    """Columns num_dead, the runs of the report's own classifier in which a logit died, and num_runs, all of them."""
    return {"num_dead": len(rows) - len(without_dead(rows, AS_CODED)), "num_runs": len(rows)}


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and what it leaves out."""
    dense = name_models(frame, with_alpha=False)
    text = (
        f"{accuracy_note(frame)} Dots: each seed. μ: the means of the slab, which the report's classifiers see; "
        "γμ: times the probability that a latent is not zero; z: a sample, exactly sparse"
        f"{f' (of a {dense}, μ and a sample)' if dense else ''}."
    )
    text += dead_note(frame)
    if frame["reported"].notna().any():
        text += " Dashed: the report's own curve."
    return text


def dead_note(frame: pd.DataFrame) -> str:
    """What a logit that died leaves out of the first panel, and so of how many seeds its points are; may be empty."""
    num_dead, first = int(frame["num_dead"].iloc[0]), frame[frame["panel"] == 0]
    if not num_dead or first.empty:
        return ""
    places = ["series", "latent_dim"]
    num_lost = len(frame[places].drop_duplicates()) - len(first[places].drop_duplicates())
    lost = f"; {plural(num_lost, 'point')} of no seed {'is' if num_lost == 1 else 'are'} not drawn" if num_lost else ""
    return (
        f" Left out of the first panel: {num_dead} of {plural(int(frame['num_runs'].iloc[0]), 'run')}, in which a "
        f"logit died, so that its points are of {count_label(first)}{lost}."
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one panel per classifier, one line with its band per series. axes: rows and columns as `shape` has them."""
    entries: dict[str, Artist] = {}
    if frame["reported"].notna().any():
        entries["the report's own, one seed"] = Line2D([], [], color="#444444", linestyle=(0, (3, 2)), linewidth=1)
    for ax, panel in draw_classifiers(frame, axes, entries):
        draw_reported(ax, panel)
    scale_accuracy(axes)


def draw_classifiers(
    frame: pd.DataFrame, axes: np.ndarray, more_entries: Mapping[str, Artist] | None = None
) -> Iterator[tuple[Axes, pd.DataFrame]]:
    """Draw a line for each series into the panel of each classifier; yields each panel with its rows, for more.

    The legend has every series, with the seeds of the last panel that shows it, and then `more_entries`.
    """
    entries: dict[str, Artist] = {}
    for ax, (_, panel) in each_panel(axes, frame.groupby("panel")):
        for rows, look in each_series(panel):
            places = frame.loc[frame["series"] == rows["series"].iloc[0], "latent_dim"]
            draw_series(ax, rows, look, places=places)
            entries[str(rows["series"].iloc[0])] = ax.get_legend_handles_labels()[0][-1]
        yield ax, panel
        scale_x(ax, panel["latent_dim"])
        ax.set_title(panel["title"].iloc[0], fontsize=10)
        ax.set_xlabel("latent dimensions")
        ax.tick_params(labelleft=True)
    by_label = {str(entry.get_label()): entry for entry in entries.values()}
    legend_beside(axes[0, -1], by_label | dict(more_entries or {}))


FIGURE = Figure(
    title="Accuracy of classifiers on codes by number of latent dimensions (the report's Figure 2)",
    compute=compute,
    plot=plot,
    panel_size=(4.0, 3.1),
    note=note,
    needs=NEEDS,
)
