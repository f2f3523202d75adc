"""The study's answer: the configurations that did best on validation images, trained again on all training images.

Two things are kept apart. The validation images choose: configurations are ranked by what they reached there, on
average over seeds. The test images only measure the ranked ones, each trained anew over seeds; a better test value
never moves a configuration up.
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.configurations import number_configurations, short_labels
from analysis.drawing import leave_out_the_far, legend_beside, plural
from analysis.intervals import mean_interval
from analysis.objectives import final_values, goal_label, goals, short_label
from analysis.series import NothingToDrawError, settings_of, varying_settings
from analysis.style import QUIET, model_colour
from analysis.wording import with_interval

LABEL_WIDTH = 38  # characters
MANY = 6  # configurations, whose labels are then smaller
SHIFTS = {"validation": -0.14, "test": 0.14}  # of a row
LOOKS: dict[str, dict[str, Any]] = {
    "validation": {"marker": "s", "markerfacecolor": "white", "linestyle": ""},
    "test": {"marker": "o", "linestyle": ""},
}


@dataclass(frozen=True)
class Comparison:
    """By how much the winner is better than the runner-up on test images.

    interval: mean, low and high end (95%, Student t) of the winner's test ELBO less the runner-up's, paired by seed, in
    nats per image; None where they have fewer than two seeds in common.
    """

    num_seeds: int
    interval: tuple[float, float, float] | None

    @property
    def verdict(self) -> str:
        """Whether the interval leaves out 0, in words."""
        assert self.interval is not None
        _, low, high = self.interval
        return "they differ" if low > 0 or high < 0 else "no sign that they differ"


def compute_confirmed(trials: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration of phase "confirm" (all settings but seed and num_validation), the winner first.

    Takes all phases of one study. Each setting has its column; besides:

    - rank: from 1, by validation_mean; NaN where there is none, or where it diverged or failed with some seed: a mean
      over the others would be a lucky one.
    - label: the model, its alpha and the settings in which the configurations differ; if there is only one, those in
      which the trials of the study differ.
    - objective, is_maximised: the first objective of the study, and its direction.
    - validation_mean, validation_low, validation_high, validation_n, validation_by_seed: mean, 95% interval, number
      and single values {seed: value} of what finished trials of the search and of phase "select" reached in the
      objective, with the same settings and images held out. The trial by which the search picked the configuration is
      among them, so that the mean is somewhat better than the configuration: by half a standard deviation between
      seeds, where the best of 100 is confirmed over 5. That does the ranking no harm.
    - test_mean, test_low, test_high, test_n, test_by_seed: the same of the test ELBO (nats per image) of the
      finished trials of phase "confirm"; trial_by_seed: {seed: trial_id} of these, whose checkpoints hold the models.

    Raises:
        NothingToDrawError: nothing was confirmed, no trial that confirms has finished, or none can be ranked.
    """
    if not (trials["phase"] == "confirm").any():
        raise NothingToDrawError("no configuration was trained again to confirm it")
    if "test/elbo" not in trials:
        raise NothingToDrawError("no trial has a test ELBO, which elbo among what it evaluates gives")
    objective, is_maximised = goals(trials)[0]
    rows = trials.reset_index(drop=True)
    rows["configuration"] = number_configurations(rows, apart_from=["num_validation"])
    rows["reached"] = final_values(trials, history)[objective]
    confirming = rows[rows["phase"] == "confirm"]
    frame = confirming.drop_duplicates("configuration")[["configuration", *settings_of(trials)]]
    is_lost = rows["status"].isin(["diverged", "failed"])
    unreliable = set(rows.loc[is_lost, "configuration"])
    rows = rows[(rows["status"] == "finished") & rows["configuration"].isin(frame["configuration"])]
    tested = rows[rows["phase"] == "confirm"].dropna(subset=["test/elbo"])
    if tested.empty:
        raise NothingToDrawError("no trial that confirms a configuration has finished")
    chosen_by = rows[(rows["phase"] != "confirm") & (rows["num_validation"] > 0)].dropna(subset=["reached"])
    if chosen_by.empty:
        raise NothingToDrawError(f"no confirmed configuration has a {short_label(objective)} to be ranked by")
    differing = varying_settings(frame if len(frame) > 1 else trials, apart_from=["alpha", "num_validation"])
    frame["label"] = short_labels(frame, ["alpha", *(name for name in differing if name != "configuration")])
    for name, of, value in (("validation", chosen_by, "reached"), ("test", tested, "test/elbo")):
        frame = frame.merge(_over_seeds(of, value, name), on="configuration", how="left").fillna({f"{name}_n": 0})
        frame[f"{name}_by_seed"] = frame["configuration"].map(_by_seed(of, value, frame["configuration"]))
    frame["trial_by_seed"] = frame["configuration"].map(_by_seed(tested, "trial_id", frame["configuration"]))
    candidates = frame["validation_mean"].mask(frame["configuration"].isin(unreliable))
    if candidates.isna().all():
        raise NothingToDrawError("every configuration that was to be confirmed diverged or failed with some seed")
    frame["rank"] = candidates.rank(ascending=not is_maximised, method="first")
    frame = frame.assign(objective=objective, is_maximised=is_maximised)
    return frame.drop(columns=["configuration", "num_validation"]).sort_values("rank", ignore_index=True)


def compare_best(confirmed: pd.DataFrame) -> Comparison | None:
    """Do the two best by rank differ on test images? None if only one has a rank.

    confirmed: the frame of `compute_confirmed`.
    """
    ranked = confirmed[confirmed["rank"].notna()]
    if len(ranked) < 2:
        return None
    best, second = ranked.iloc[0], ranked.iloc[1]
    seeds = sorted(best["test_by_seed"].keys() & second["test_by_seed"].keys())
    pairs = pd.DataFrame({"by": 0, "gain": [best["test_by_seed"][s] - second["test_by_seed"][s] for s in seeds]})
    if len(seeds) < 2:
        return Comparison(len(seeds), None)
    mean, low, high = mean_interval(pairs, "gain", by=["by"])[["mean", "low", "high"]].iloc[0]
    return Comparison(len(seeds), (float(mean), float(low), float(high)))


def plot_confirmed(frame: pd.DataFrame, ax: Axes) -> None:
    """One row per configuration, the winner on top: validation and test mean with intervals, single seeds faint."""
    is_elbo = frame["objective"].iloc[0] == "val/elbo"  # else it has no place on the axis of the test ELBO
    kinds = ("validation", "test") if is_elbo else ("test",)
    for y, row in enumerate(frame.to_dict("records")):
        colour = model_colour(row["model"])
        for kind in kinds:
            at = y + SHIFTS[kind]
            own = list(row[f"{kind}_by_seed"].values())
            ax.scatter(own, [at] * len(own), s=14, color=colour, alpha=0.3, linewidths=0)
            mean, low, high = (row[f"{kind}_{name}"] for name in ("mean", "low", "high"))
            bars = np.nan_to_num([[mean - low], [high - mean]])
            ax.errorbar([mean], [at], xerr=bars, color=colour, capsize=2.5, elinewidth=1.2, **LOOKS[kind])
    far = [value for kind in kinds for values in frame[f"{kind}_by_seed"] for value in values.values()]
    leave_out_the_far(ax, "x", pd.Series(far, dtype="float64"))
    labels = [_row_label(row, is_elbo=is_elbo) for row in frame.to_dict("records")]
    width = LABEL_WIDTH if len(frame) <= MANY else 4 * LABEL_WIDTH // 3
    labels = [textwrap.fill(label, width, break_on_hyphens=False, break_long_words=False) for label in labels]
    ax.set_yticks(range(len(frame)), labels)
    ax.get_yticklabels()[0].set_fontweight("bold")
    ax.tick_params(axis="y", labelsize=10 if len(frame) <= MANY else 7)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(len(frame) - 0.5, -0.5 - 0.1 * len(frame))  # above, room to say what is off the axis
    ax.set_xlabel(goal_label("test/elbo", is_maximised=True).replace("test ", "" if is_elbo else "test "))
    entries = {f"{kind} images": Line2D([], [], color=QUIET, **LOOKS[kind]) for kind in kinds}
    entries["single seeds"] = Line2D([], [], color=QUIET, alpha=0.4, marker="o", linestyle="", markersize=4)
    legend_beside(ax, entries)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and whether the two best differ."""
    objective = short_label(frame["objective"].iloc[0])
    chosen = f"Ranked by the {objective} on images held out, mean over seeds, the search's own trial among them"
    bars = "Bars: 95% interval (Student t) over seeds." if (frame["test_n"] > 1).any() else "One seed: no interval."
    text = f"{chosen}; then trained on all training images and measured on the test images. {bars}"
    two = compare_best(frame)
    if two is None or two.interval is None:
        return text
    return (
        f"{text} The winner's test ELBO less that of the second, in nats per image: {with_interval(*two.interval)}, "
        f"paired over {plural(two.num_seeds, 'seed')}: {two.verdict}."
    )


def _over_seeds(rows: pd.DataFrame, value: str, name: str) -> pd.DataFrame:
    means = mean_interval(rows, value, by=["configuration"])
    return means.rename(columns={column: f"{name}_{column}" for column in ("mean", "low", "high", "n")})


def _by_seed(rows: pd.DataFrame, value: str, configurations: pd.Series) -> dict[int, dict[int, Any]]:
    """For each configuration the values by seed."""
    found: dict[int, dict[int, Any]] = {number: {} for number in configurations}
    for row in rows.sort_values("seed")[["configuration", "seed", value]].to_dict("records"):
        found[row["configuration"]][int(row["seed"])] = row[value]
    return found


def _row_label(row: dict[Any, Any], *, is_elbo: bool) -> str:
    """The place and the settings, each of which stays on one line."""
    place = "winner" if row["rank"] == 1 else f"{row['rank']:.0f}" if row["rank"] > 0 else "not ranked"
    parts = [f"{place}: {row['label']}"]
    if not is_elbo and row["rank"] > 0:
        parts.append(f"{short_label(row['objective'])} = {row['validation_mean']:.4g}")
    return ", ".join(parts).replace(" ", "\N{NO-BREAK SPACE}").replace(",\N{NO-BREAK SPACE}", ", ")
