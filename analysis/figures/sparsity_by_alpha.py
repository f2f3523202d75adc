"""Does the share of non-zero code entries follow alpha, the prior's probability of a non-zero entry?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from analysis.drawing.figure import Figure, on_one_axes
from analysis.drawing.labels import name_lines
from analysis.drawing.lines import PLAIN_NUMBER, count_label, draw_line, draw_trials, each_series
from analysis.drawing.style import LINE_STYLES, MARKERS, QUIET, level_colour
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.series import MAX_SERIES, assign_series, finished_with, mean_over_seeds, spread
from analysis.wording import ALPHA, OWN_PRIORS, model_label

NEEDS = ("alpha", "code/nonzero_fraction")  # a model without alpha has a dense code: nothing to follow
MAX_LATENT_DIMS = 5
WIDE_RANGE = 10.0
STYLES = tuple(style for style in LINE_STYLES if style != "--")  # the prior is dashed


def compute(tables: Tables) -> pd.DataFrame:
    """Mean and 95% interval over seeds of the non-zero fraction, by series, latent_dim and alpha.

    Of many latent dimensions some are shown, evenly by rank from the smallest to the largest.
    """
    rows = assign_series(longest_of_each(finished_with(tables.trials, NEEDS)), apart_from=["alpha", "latent_dim"])
    if not rows["individual"].any():
        num = max(1, min(MAX_LATENT_DIMS, MAX_SERIES // rows["series"].nunique()))
        rows = rows[rows["latent_dim"].isin(spread(rows["latent_dim"], num))]
    return mean_over_seeds(rows, "code/nonzero_fraction", by=["latent_dim", "alpha"])


def plot(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw one line per series and latent dimension (larger is lighter) and, dashed, what the prior expects
    of the models whose alpha is its own.

    Tints of one model's colour stand for alphas in other figures, so that latent dimensions have colours of their own.
    """
    floor = min(frame["alpha"].min(), frame["mean"].min()) / 1.5
    is_log = frame["alpha"].max() >= WIDE_RANGE * frame["alpha"].min() and floor > 0
    if is_log:  # a log axis has no place for an interval that reaches zero: it ends at the axis
        frame = frame.assign(low=frame["low"].clip(lower=floor))
    latent_dims = sorted(frame["latent_dim"].unique())
    for number, (rows, look) in enumerate(each_series(frame)):
        if rows["individual"].any():
            draw_trials(ax, "alpha", "mean", rows, look)
            continue
        for latent_dim, line in rows.groupby("latent_dim"):
            rank = latent_dims.index(latent_dim)
            shade = level_colour(rank, len(latent_dims))
            label = f"{line['series'].iloc[0]}, latent dimension {latent_dim:g} ({count_label(line)})"
            style = STYLES[number % len(STYLES)]
            line_look = look | {"color": shade, "linestyle": style, "marker": MARKERS[rank], "label": label}
            draw_line(ax, "alpha", line, line_look)
    _scale(ax, frame["alpha"], floor if is_log else None)
    is_prior = ~frame["model"].isin(OWN_PRIORS)
    names = " or ".join(model_label(model) for model in sorted(frame.loc[is_prior, "model"].unique()))
    if is_prior.any():
        _draw_prior(ax, "the prior" if is_prior.all() else f"the prior of {names}")
        what = "prior probability that a code entry is not zero"
        ax.set_xlabel(f"{ALPHA} ({what if is_prior.all() else f'for {names} the {what}'})")
    else:
        ax.set_xlabel(f"{ALPHA}, as it is set")
    ax.set_ylabel("fraction of non-zero code entries")
    name_lines(ax)


def _scale(ax: Axes, alpha: pd.Series, log_floor: float | None) -> None:
    """Begin both axes at zero, or make both logarithmic: either way the prior's line is straight."""
    alphas = np.unique(alpha)
    if log_floor is None:
        ax.set_xlim(0, min(1.05, 1.3 * alphas[-1]))
        ax.set_ylim(bottom=0)
    else:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(bottom=log_floor)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(PLAIN_NUMBER)
    if len(alphas) <= 8:
        ax.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
        ax.xaxis.set_minor_locator(NullLocator())


def _draw_prior(ax: Axes, name: str) -> None:
    limits = ax.get_xlim()
    x = np.linspace(*limits, 200)
    ax.plot(x, x, color=QUIET, linestyle="--", linewidth=1, label=f"{name}: fraction = {ALPHA}", zorder=1.5)
    ax.set_xlim(limits)


FIGURE = Figure(
    title=f"Non-zero code entries by the prior's {ALPHA}",
    compute=compute,
    plot=on_one_axes(plot),
    needs=NEEDS,
)
