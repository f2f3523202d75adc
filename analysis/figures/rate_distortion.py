"""How is the test ELBO made up: how much is rate, how much is distortion?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.lines import Look, draw_trials, each_series, leave_out_the_far, legend_beside
from analysis.drawing.style import QUIET, text_colour
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.entropy_floor import find_floor
from analysis.tables.series import SERIES_COLUMNS, assign_series, finished_with, mean_over_seeds
from analysis.wording import EACH_TRIAL, NATS, with_minus

NEEDS = ("test/rate", "test/distortion")
LEAST_SPAN = 2.0  # nats that an axis shows


def compute(tables: Tables) -> pd.DataFrame:
    """Final rate and distortion (nats per image) by series and latent_dim, over seeds and trial by trial.

    A row with a trial_id is that trial's own rate and distortion. A row without is their mean over seeds,
    with the 95% intervals rate_low to rate_high and distortion_low to distortion_high. floor: the entropy of the
    pixels (nats per image), the least distortion that there can be; NaN if it is not known.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["latent_dim"])
    rate, distortion = (
        mean_over_seeds(rows, f"test/{name}", by=["latent_dim"], each_seed=False).rename(
            columns={"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
        )
        for name in ("rate", "distortion")
    )
    means = rate.merge(distortion).assign(floor=find_floor(rows))
    if rows["individual"].any():
        return means
    singles = rows.rename(columns={"test/rate": "rate", "test/distortion": "distortion"}).assign(n=1)
    singles = singles[[*SERIES_COLUMNS, "latent_dim", "trial_id", "rate", "distortion", "n"]]
    return pd.concat([means, singles], ignore_index=True).assign(floor=means["floor"].max())


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw faint points for trials, and their means, joined from the smallest latent dimension to the largest."""
    means = frame if frame["individual"].any() else frame[frame["trial_id"].isna()]
    for rows, look in each_series(means):
        if rows["individual"].any():
            draw_trials(ax, "distortion", "rate", rows, look)
            continue
        singles = frame[(frame["series"] == rows["series"].iloc[0]) & frame["trial_id"].notna()]
        ax.scatter(singles["distortion"], singles["rate"], s=9, color=look["color"], alpha=0.45, linewidths=0)
        _draw_means(ax, rows.sort_values("latent_dim"), look)
    ax.margins(0.1)
    if frame["individual"].any():
        leave_out_the_far(ax, "x", frame["distortion"])
        leave_out_the_far(ax, "y", frame["rate"])
    draw_equal_elbo_lines(ax)
    ax.set_xlabel(f"distortion ({NATS}, lower is better)")
    ax.set_ylabel(f"rate ({NATS}, lower is better)")
    legend_beside(ax)


def note(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    if frame["individual"].any():
        return f"{EACH_TRIAL} Grey: lines of equal ELBO."
    return (
        "Large: means over seeds, joined from the smallest latent dimension to the largest, both ends named by it. "
        "Small: each trial. Grey: lines of equal ELBO. The 95% intervals are in the numbers."
    )


def _draw_means(ax: Axes, means: pd.DataFrame, look: Look) -> None:
    size = 5.5 if len(means) <= 10 else 3.5
    ax.plot(means["distortion"], means["rate"], linewidth=0.8, markersize=size, **look)
    points = means[["distortion", "rate"]].to_numpy(float)
    for end, inner in ((0, 1), (-1, -2)) if len(means) > 1 else ():
        away = np.sign(points[end] - points[inner])  # from the line, which the name would cover
        name = f"{means['latent_dim'].iloc[end]:g}"
        style: Look = {"fontsize": 8.5, "color": text_colour(look["color"]), "fontweight": "bold"}
        style |= {"ha": "left" if away[0] >= 0 else "right", "va": "bottom" if away[1] >= 0 else "top"}
        ax.annotate(name, tuple(points[end]), tuple(4 * away), textcoords="offset points", **style)


def _widen(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits, widened about their middle where the data are narrower than LEAST_SPAN."""
    middle, half = sum(limits) / 2, max(limits[1] - limits[0], LEAST_SPAN) / 2
    return middle - half, middle + half


def draw_equal_elbo_lines(ax: Axes) -> None:
    """Draw lines of equal ELBO = -(rate + distortion), each labelled where it enters at the top or the left."""
    (left, right), (bottom, top) = _widen(ax.get_xlim()), _widen(ax.get_ylim())
    ax.set_xlim(left, right)  # the lines must not move the limits
    ax.set_ylim(bottom, top)
    for total in MaxNLocator(7).tick_values(left + bottom, right + top):
        if not left + bottom < total < right + top:
            continue
        ax.axline((total, 0), slope=-1, color="#bbbbbb", linewidth=0.7, zorder=0.5)
        y = min(top - 0.02 * (top - bottom), total - left)
        if y < bottom + 0.15 * (top - bottom) or total - y > right - 0.1 * (right - left):
            continue  # a corner has no room for a label
        ax.text(
            *(total - y, y, f" ELBO {with_minus(f'{-total:g}')}"),
            fontsize=7.5,
            color=QUIET,
            rotation=-45,
            rotation_mode="anchor",
            transform_rotates_text=True,
            va="bottom",
            clip_on=True,
            zorder=1,
        )


FIGURE = Figure(
    title="Rate and distortion on test images after training",
    compute=compute,
    plot=on_one_axes(plot),
    note=note,
    needs=NEEDS,
)
