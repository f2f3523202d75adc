"""How far has training come, in steps: the bound, and the rate, of models that are trained on different objectives?"""

import numpy as np
import pandas as pd

from analysis.drawing.figure import Figure
from analysis.drawing.lines import BAND_OPACITY
from analysis.drawing.style import LINE_STYLES, series_colour
from analysis.metrics import ANYWHERE
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.intervals import mean_interval
from analysis.tables.named_configurations import name_configurations
from analysis.tables.series import NothingToDrawError, finished_with
from analysis.wording import NATS, OF_PSEUDO_INPUTS, model_label

PANELS = {
    "elbo": f"bound on training images\n({NATS}, higher is better)",
    "train/rate": f"rate\n({NATS})",
    "train/total_correlation": f"total correlation that\nis weighed ({NATS})",
}
OF_EVERY_OBJECTIVE = ("train/loss", "train/rate", "train/distortion")
MAX_CONFIGURATIONS = 20
MIN_SEEDS = 5  # with fewer, an interval is so wide that its band covers everything


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of each panel's measure, by configuration and step.

    The bound is minus rate and distortion of the samples of training, whatever the weights that they are trained with;
    models of pseudo-inputs have none.
    """
    trials = longest_of_each(finished_with(tables.trials, []))
    history = tables.history
    if not {"step", "train/rate", "train/distortion"} <= set(history):
        raise NothingToDrawError("the history has no steps with rate and distortion")
    own = [name for name in map(str, history) if name.startswith("train/") and name not in OF_EVERY_OBJECTIVE]
    if history[own].isna().all(axis=None):
        raise NothingToDrawError("all trials are trained on the bound, whose loss the figure convergence shows")
    trials = name_configurations(trials)
    num = trials["configuration"].nunique()
    if num > MAX_CONFIGURATIONS or num == len(trials) > 1:
        raise NothingToDrawError(f"{num} configurations are too many, or have one seed each")
    history = history.assign(elbo=-(history["train/rate"] + history["train/distortion"]))
    rows = trials[["trial_id", "configuration", "model", "alpha"]].merge(history, on="trial_id")
    rows["elbo"] = rows["elbo"].where(~rows["model"].isin(OF_PSEUDO_INPUTS))
    looks = rows[["configuration", "model", "alpha"]].drop_duplicates()
    frames = [
        mean_interval(rows, panel, by=["configuration", "step"], limits=ANYWHERE).assign(panel=panel)
        for panel in PANELS
        if panel in rows and rows[panel].notna().any()
    ]
    return pd.concat(frames, ignore_index=True).merge(looks, on="configuration")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    last = int(frame["step"].max())
    models = sorted(set(frame["model"]) & {*OF_PSEUDO_INPUTS})
    names = " or ".join(map(model_label, models))
    no_bound = f" What a {names} is trained on is no bound: none is drawn of it." if models else ""
    return (
        f"Mean and, of {MIN_SEEDS} seeds or more, 95% interval (Student t), cut where a panel is narrower; training "
        f"ended after {last:,} steps. Where training takes relaxed samples this is no bound: that of samples that are "
        f"exactly sparse is lower.{no_bound}"
    )


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a line for each configuration, a panel for each measure."""
    configurations = frame.drop_duplicates("configuration").sort_values("configuration", kind="stable")
    variant = configurations.groupby(["model", "alpha"], dropna=False).cumcount()
    styles = dict(zip(configurations["configuration"], variant, strict=True))
    panels = list(dict.fromkeys(frame["panel"]))
    for ax, panel in zip(axes[0], panels, strict=True):
        for name, lines in frame[frame["panel"] == panel].groupby("configuration", observed=True):
            line, first = lines.sort_values("step"), lines.iloc[0]
            colour = series_colour(str(first["model"]), float(first["alpha"]))
            style = LINE_STYLES[styles[name] % len(LINE_STYLES)]
            marker = "o" if len(line) == 1 else ""
            ax.plot(line["step"], line["mean"], color=colour, linestyle=style, marker=marker, label=str(name))
            if line["n"].min() >= MIN_SEEDS:
                ax.fill_between(line["step"], line["low"], line["high"], color=colour, alpha=BAND_OPACITY, linewidth=0)
        ax.set_xlabel("steps of training")
        ax.set_ylabel(PANELS[str(panel)])
        # From the means: after few seeds an interval can be far wider than all lines are apart.
        means = frame.loc[(frame["panel"] == panel) & (frame["step"] > frame["step"].min()), "mean"]
        if means.nunique() > 1:
            margin = 0.1 * (means.max() - means.min())
            ax.set_ylim(means.min() - margin, means.max() + margin)
    entries = [ax.get_legend_handles_labels() for ax in axes[0]]  # not every model has a line in every panel
    named = {label: handle for handles, labels in entries for handle, label in zip(handles, labels, strict=True)}
    names = [str(name) for name in configurations["configuration"]]
    axes[0, -1].legend([named[name] for name in names], names, loc="upper left", bbox_to_anchor=(1.0, 1.0))


FIGURE = Figure(
    title="Learning curves, by steps of training",
    compute=compute,
    plot=plot,
    panel_size=(3.8, 3.6),
    shares="x",
    note=note,
)
