"""How good is the best trial that a search has found, by the number of epochs that it has trained?

The tables may be those of several studies joined. Then each pair of sampler and scheduler is one line: the median over
its studies.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure
from analysis.drawing.lines import BAND_OPACITY, leave_out_the_far, legend_beside
from analysis.drawing.style import sampler_label, sampler_look
from analysis.tables import Tables
from analysis.tables.configurations import decisive_length, number_configurations
from analysis.tables.objectives import COUNTED, final_values, goal_label, goals, require_search, running_best
from analysis.tables.series import NothingToDrawError
from analysis.wording import plural

KEYS = ["objective", "is_maximised", "sampler", "scheduler"]
MANY_LINES = 3  # with more, their bands are fainter


def compute(tables: Tables) -> pd.DataFrame:
    """The best value so far by trained epochs, over the studies with one sampler and scheduler.

    Columns: objective, is_maximised, sampler, scheduler, epochs, median, low and high (their range), n (studies).
    A study that has ended keeps its best; a line begins where each of its studies has found something.
    """
    trials, history = tables.trials, tables.history
    require_search(trials)
    kinds = trials[["dataset", "objectives", "directions"]].drop_duplicates()
    if len(kinds) > 1:
        raise NothingToDrawError("the studies differ in dataset or objectives, so their values cannot be compared")
    by_study = dict(iter(history.groupby("study"))) if "study" in history else {}
    curves = [
        _best_of_study(of_study, by_study.get(study, history)).assign(study=study)
        for study, of_study in trials.groupby("study")
    ]
    all_curves = pd.concat(curves).dropna(subset=["best"])
    if all_curves.empty:
        raise NothingToDrawError(f"no finished or stopped trial has a value of {goals(trials)[0][0]}")
    return pd.concat([_over_studies(rows) for _, rows in all_curves.groupby(KEYS, sort=False)], ignore_index=True)


def count_new_epochs(trials: pd.DataFrame) -> pd.Series:
    """Epochs that each trial adds to those that earlier trials of the same settings and seed have trained."""
    training = [number_configurations(trials.assign(epochs=decisive_length(trials))), trials["seed"]]
    trained = trials["epochs_trained"].fillna(0)
    before = trained.groupby(training).cummax().groupby(training).shift(fill_value=0)
    return (trained - before).clip(lower=0)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of panels: a row per objective."""
    return frame["objective"].nunique(), 1


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw one panel per objective: a step line in the band of its range per sampler (colour) and scheduler (style).

    axes: rows and columns as `shape` has them.
    """
    for ax, (name, rows) in zip(axes[:, 0], frame.groupby("objective", sort=False), strict=True):
        lines = [line for _, line in rows.groupby(["sampler", "scheduler"])]
        for line in lines:
            opacity = BAND_OPACITY if len(lines) <= MANY_LINES else BAND_OPACITY / 2
            _draw_steps(ax, line, opacity=opacity, with_count=bool(frame["n"].max() > 1))
        leave_out_the_far(ax, "y", pd.concat([rows["low"], rows["high"]]))
        ax.set_ylabel(goal_label(str(name), is_maximised=bool(rows["is_maximised"].iloc[0]), lines=2))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(left=0)
    legend_beside(axes[0, 0])
    axes[-1, 0].set_xlabel("epochs trained by the study")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    epochs = "Epochs add up over the trials in their order, those of trials that came to nothing included."
    if frame["n"].max() == 1:
        return epochs
    return f"Median of the studies, and the range from the worst to the best of them. {epochs}"


def _best_of_study(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    values = final_values(trials, history)
    epochs = count_new_epochs(trials).cumsum().to_numpy(float)
    shared = {"epochs": epochs, "sampler": trials["sampler"].iloc[0], "scheduler": trials["scheduler"].iloc[0]}
    return pd.concat(
        pd.DataFrame(shared).assign(
            objective=name,
            is_maximised=is_maximised,
            best=running_best(values, name, is_maximised=is_maximised),
        )
        for name, is_maximised in goals(trials)
    )


def _over_studies(curves: pd.DataFrame) -> pd.DataFrame:
    """Median and range of the step functions of one objective, sampler and scheduler, wherever one of them steps."""
    at = np.unique(curves["epochs"])
    heights = []
    for _, curve in curves.groupby("study"):
        step = np.searchsorted(curve["epochs"], at, side="right") - 1
        heights.append(np.where(step >= 0, curve["best"].to_numpy()[step], np.nan))
    of_studies = np.array(heights)  # (studies, epochs)
    low, high = of_studies.min(axis=0), of_studies.max(axis=0)
    columns = {"epochs": at, "median": np.median(of_studies, axis=0), "low": low, "high": high, "n": len(of_studies)}
    shared = {name: curves[name].iloc[0] for name in KEYS}
    return pd.DataFrame(shared | columns).dropna(subset=["median"])


def _draw_steps(ax: Axes, line: pd.DataFrame, *, opacity: float, with_count: bool) -> None:
    sampler, scheduler = str(line["sampler"].iloc[0]), str(line["scheduler"].iloc[0])
    look, num = sampler_look(sampler, scheduler), int(line["n"].iloc[0])
    label = sampler_label(sampler, scheduler) + (f" ({plural(num, 'study')})" if with_count else "")
    ax.plot(line["epochs"], line["median"], drawstyle="steps-post", label=label, **look)
    ax.plot(*line[["epochs", "median"]].iloc[-1], marker="o", color=look["color"])  # where the search ended
    if num > 1:
        look = {"color": look["color"], "alpha": opacity, "linewidth": 0}
        ax.fill_between(line["epochs"], line["low"], line["high"], step="post", **look)


FIGURE = Figure(
    title="The best of the search by trained epochs",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(6.5, 4.0),
    shows=COUNTED,
    note=note,
    all_lengths=True,
)
