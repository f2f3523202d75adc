"""What does the gradient of the gates do: to the true bound, and to what the gates tell of the image?"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from analysis.drawing.caption import dots_note
from analysis.drawing.figure import Figure
from analysis.drawing.panels import draw_seeds_in_row, each_panel
from analysis.drawing.style import QUIET
from analysis.metrics import NEVER_NEGATIVE, metric_of
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.intervals import mean_interval
from analysis.tables.series import NothingToDrawError, finished_with, varying_settings
from analysis.wording import NATS, configuration_label, setting_label, value_label

# Of no model.
COLOURS = {"relaxed": "#E69F00", "straight_through": "#56B4E9", "disarm": "#009E73"}
PANELS = {
    "test/elbo": f"true test ELBO\n({NATS}, higher is better)",
    "code/num_informative": "latents that carry information\n(mean KL above 0.05 nats)",
    "code/gate_information": f"information in the gates\n({metric_of('code/gate_information').unit})",
    "code/always_on_fraction": "share of the informative latents that is always on\n(mean gate above 0.95)",
    "bias": "bias of the gates' gradient\n(share of its length; 0 for DisARM)",
    "noise": "noise of the gates' gradient\n(one draw, in its lengths)",
}
SCHEDULES = {"per_epoch": "per epoch", "per_step": "per step", "ramp": "to 200", "constant": "constant"}
GROUPED_BY = ("alpha", "latent_dim", "gamma_link", "kl_from")
COMPARED = ("estimator", "sharpness_schedule")
OWN = ("bias", "noise")  # of the estimator that trained a model, of `gradient/<estimator>_...`
MOST_ROWS = 21  # that a panel has room for, before it grows
ROW_SIZE, LETTER = 9, 5.2  # points: of the names of rows, and how wide a letter of them is


def compute(tables: Tables) -> pd.DataFrame:
    """Of each panel's measure a row per trial, with mean and 95% interval over the seeds of its configuration.

    `group` names the settings in which configurations differ, but for those of `label`: the estimator and, where it
    has several, the schedule of its sharpness. sharpness: where that starts in all of them.
    """
    trials = longest_of_each(finished_with(tables.trials, ["estimator"]))
    if trials["estimator"].nunique() < 2:
        raise NothingToDrawError("all trials have the same estimator")
    varying = varying_settings(trials)
    others = [name for name in varying if name not in (*GROUPED_BY, *COMPARED, "model")]
    if others:
        raise NothingToDrawError(f"trials differ in {', '.join(map(setting_label, others))}, too")
    groups = [name for name in GROUPED_BY if name in varying]
    own = trials["estimator"].astype(str)
    estimators = list(dict.fromkeys([*COLOURS, *sorted(own)]))
    schedules = list(SCHEDULES)
    trials = trials.assign(group=[_name_group(row, groups) for row in trials.to_dict("records")])
    trials = trials.assign(
        label=_label_rows(trials),
        rank=own.map(estimators.index) * len(schedules) + trials["sharpness_schedule"].map(schedules.index),
        **{name: _take_own(trials, own, name) for name in OWN},
    ).sort_values([*groups, "rank", "seed"], kind="stable")
    keys = ["group", "label", "estimator"]
    frames = []
    for panel in PANELS:
        if panel in trials and trials[panel].notna().any():
            rows = trials[[*keys, "seed", panel]].dropna().rename(columns={panel: "value"}).assign(panel=panel)
            limits = NEVER_NEGATIVE if panel in OWN else metric_of(panel).limits
            frames.append(rows.merge(mean_interval(rows, "value", by=keys, limits=limits), on=keys))
    if not frames:
        raise NothingToDrawError("no trial measured a bound, its sparsity or its gradients")
    return pd.concat(frames, ignore_index=True).assign(sharpness=trials["sharpness"].max())  # all have the same


def _name_group(row: dict[Hashable, Any], groups: list[str]) -> str:
    numbers = [name for name in groups if isinstance(row[name], int | float)]
    words = [value_label(name, row[name]) for name in groups if name not in numbers and name != "model"]
    return ", ".join([configuration_label(row, numbers), *words])


def _label_rows(trials: pd.DataFrame) -> list[str]:
    """Name the estimator of each trial, with its schedule where the estimator has several in this group."""
    num_schedules = trials.groupby(["group", "estimator"])["sharpness_schedule"].transform("nunique")
    estimators = [value_label("estimator", name) for name in trials["estimator"]]
    schedules = trials["sharpness_schedule"].map(SCHEDULES)
    labels = zip(estimators, schedules, num_schedules, strict=True)
    return [f"{estimator}, {schedule}" if num > 1 else estimator for estimator, schedule, num in labels]


def _take_own(trials: pd.DataFrame, own: pd.Series, name: str) -> pd.Series:
    """Of `gradient/<estimator>_<name>` that of the estimator which trained the model.

    A bias that is NaN where the noise was measured is one too small to be told from that noise, and counts as 0: a mean
    over the others alone would be too large.
    """
    values = pd.Series(np.nan, index=trials.index)
    for estimator in own.unique():
        column = f"gradient/{estimator}_{name}"
        if column in trials:
            found = trials[column]
            if name == "bias":
                found = found.mask(found.isna() & trials[f"gradient/{estimator}_noise"].notna(), 0.0)
            values = values.mask(own == estimator, found)
    return values


def stretch(frame: pd.DataFrame) -> float:
    """How much taller panels are, so that rows stand apart."""
    places, headers = _place_rows(frame)
    return max(1.0, (len(places) + len(headers)) / MOST_ROWS)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    has_schedules = frame["label"].str.contains(",").any()
    start = f"{frame['sharpness'].iloc[0]:g}"
    schedules = f" Behind a comma: how the sharpness of the gates goes on from {start}." if has_schedules else ""
    biases = frame.loc[frame["panel"] == "bias", "value"]
    num_lost = int((biases == 0).sum())
    lost = f" Drawn as 0: the bias of {num_lost} of {len(biases)} trials, not told from noise." if num_lost else ""
    return (
        f"{dots_note(frame)} An interval that is wider than the panel is cut. The ELBO is that of hard gates, for "
        "every estimator. The gradient is that of the distortion by the gates' pre-activations, at the trained model; "
        f"DisARM's has no bias.{lost}{schedules}"
    )


def _place_rows(frame: pd.DataFrame) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """The height of each group and label, and that of each group's name, above its rows."""
    places: dict[tuple[str, str], int] = {}
    headers: dict[str, int] = {}
    for group, label in frame[["group", "label"]].drop_duplicates().itertuples(index=False, name=None):
        headers.setdefault(group, len(places) + len(headers))
        places[group, label] = len(places) + len(headers)
    return places, headers


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw a row for each group and label, a panel for each measure."""
    places, headers = _place_rows(frame)
    for ax, panel in each_panel(axes, dict.fromkeys(frame["panel"])):
        values = frame.loc[frame["panel"] == panel, "value"]
        for place, rows in frame[frame["panel"] == panel].groupby(["group", "label"], sort=False):
            draw_seeds_in_row(ax, places[place], rows, COLOURS.get(rows["estimator"].iloc[0], QUIET))
        ax.set_xlabel(PANELS[panel])
        # From the trials: an interval of three seeds can be far wider than they are, and then ends at the axis.
        low, high = values.min(), values.max()
        margin = 0.08 * (high - low or 1.0)
        ax.set_xlim(low - margin, high + margin)
        ax.set_ylim(max(places.values()) + 0.7, -0.7)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.grid(axis="y", visible=False)
    left = -LETTER * max(len(label) for _, label in places)
    for ax in axes[:, 0]:
        ax.set_yticks(list(places.values()), [label for _, label in places], fontsize=ROW_SIZE)
        # In a row of its own, so that it may reach into the panel, and on paper that the axis does not cross.
        box = {"facecolor": "white", "linewidth": 0, "pad": 1}
        for group, y in headers.items():
            ax.annotate(
                group, (0, y), xycoords=ax.get_yaxis_transform(), xytext=(left, 0), textcoords="offset points",
                va="center", fontsize=ROW_SIZE, fontweight="bold", bbox=box,
            )  # fmt: skip


FIGURE = Figure(
    title="What the gradient of the gates does",
    compute=compute,
    plot=plot,
    panel_size=(3.3, 4.4),
    stretch=stretch,
    shares="y",
    note=note,
    needs=("estimator",),
)
