"""What does each latent do: who carries information, who is always on, who idles at the prior?"""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing.caption import own_priors_note
from analysis.drawing.figure import Figure
from analysis.drawing.style import QUIET, series_colour
from analysis.tables import Tables
from analysis.tables.exhibits import MEDIAN_SEED
from analysis.tables.latents import choose_latents
from analysis.wording import ALPHA, OWN_PRIORS, plural

MAX_TRIALS = 12
TITLE_WIDTH = 100  # characters that the first two panels of a row have room for
MAX_BY_CLASS = 40  # latents, of which each class's gate is drawn
INFORMATIVE_KL, ALWAYS_ON = 0.05, 0.95  # as in models.measures.sparsity
LEAST_KL = 1e-4  # nats; smaller ones are drawn there, as a logarithmic axis has no zero
CLASS_COLUMN = "slab_prob_class_"


def compute(tables: Tables) -> pd.DataFrame:
    """A row for each trial shown and each of its latents, the largest mean KL first.

    rank: from 1. latent: its place in the code, from 0. kl and gate_information: nats. slab_prob: mean gamma;
    slab_prob_class_<label>: its mean over the images of a class. Where the KL has no closed form it is NaN, and the
    largest slab_prob is first.
    """
    frames = []
    for trial in choose_latents(tables, num_trials=MAX_TRIALS):
        arrays = trial.arrays
        kl = arrays.get("kl", np.full(arrays["slab_prob"].shape, np.nan))
        order = np.argsort(-arrays.get("kl", arrays["slab_prob"]), kind="stable")
        columns = {"kl": kl[order]} | {name: arrays[name][order] for name in ("slab_prob", "gate_information")}
        by_class = zip(arrays["classes"], arrays["slab_prob_by_class"], strict=True)
        columns |= {f"{CLASS_COLUMN}{label}": gamma[order] for label, gamma in by_class}
        frame = pd.DataFrame({"rank": np.arange(1, len(order) + 1), "latent": order} | columns)
        frames.append(frame.assign(**trial.columns))
    return pd.concat(frames, ignore_index=True)


def shape(frame: pd.DataFrame) -> tuple[int, int]:
    """A row of panels per trial: KL, gamma, gamma by class."""
    return frame["trial_id"].nunique(), 3


def plot(frame: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw each trial's latents, sorted by KL. axes: rows and columns as `shape` has them."""
    for of_row, (_, latents) in zip(axes, frame.groupby("trial_id", sort=False), strict=True):
        title = latents["label"].iloc[0]
        if has_kl := bool(latents["kl"].notna().all()):
            _draw_kl(of_row[0], latents)
            title += f": {int((latents['kl'] > INFORMATIVE_KL).sum())} informative"
        else:
            _leave_out(of_row[:1], "no finite KL in closed form")
        if latents["alpha"].isna().any():
            _leave_out(of_row[1:], "no gates: every latent is always on")
        else:
            _draw_gamma(of_row[1], latents)
            _draw_by_class(of_row[2], latents)
        title += f" ({standing})" if (standing := latents["standing"].iloc[0]) else ""
        of_row[0].set_title(textwrap.fill(title, TITLE_WIDTH, break_on_hyphens=False), loc="left", fontsize=9.5)
    for ax in axes[-1]:
        ax.set_xlabel(f"latents, the largest {'KL' if has_kl else 'P(z ≠ 0)'} first")


def note(frame: pd.DataFrame) -> str:
    """How to read the figure, and which trials it shows."""
    some = own_priors_note(frame)
    some += " Without a KL, all are hollow, the largest P(z ≠ 0) first." if frame["kl"].isna().any() else ""
    num_left_out, left_out = int(frame["num_left_out"].iloc[0]), frame["left_out"].iloc[0]
    return (
        "Means over the test images. A latent is informative above .05 nat (filled), always on above a mean "
        f"probability of .95; one that idles has that of the prior, {ALPHA}.{some} Right: by class, "
        f"of {MAX_BY_CLASS} latents at most. Of each configuration the largest latent dimension and {MEDIAN_SEED} are "
        "shown."
        + (f" Left out: {plural(num_left_out, 'configuration')}." if num_left_out else "")
        + (f" Left out: {left_out}." if left_out else "")
    )


def _leave_out(panels: np.ndarray, reason: str) -> None:
    """Say why panels are empty."""
    for ax in panels:
        ax.set_axis_off()
    middle = {"ha": "center", "va": "center", "transform": panels[0].transAxes}
    panels[0].text(0.5, 0.5, reason, color=QUIET, **middle)


def _draw_kl(ax: Axes, latents: pd.DataFrame) -> None:
    _draw_points(ax, latents, latents["kl"].clip(lower=LEAST_KL))
    ax.axhline(INFORMATIVE_KL, color=QUIET, linestyle="--", linewidth=0.9)
    ax.set_yscale("log")
    ax.set_ylim(LEAST_KL / 1.5, max(10.0, 1.5 * latents["kl"].max()))
    ax.set_ylabel("mean KL (nats)")


def _draw_gamma(ax: Axes, latents: pd.DataFrame) -> None:
    _draw_points(ax, latents, latents["slab_prob"])
    levels = [ALWAYS_ON]
    if latents["model"].iloc[0] not in OWN_PRIORS:
        levels.append(latents["alpha"].iloc[0])
    for level in levels:
        ax.axhline(level, color=QUIET, linestyle="--", linewidth=0.9)
    ax.set_ylim(-0.05, 1.05)
    ax.set_ylabel("mean P(z ≠ 0)")


def _draw_points(ax: Axes, latents: pd.DataFrame, values: pd.Series) -> None:
    """Draw a point per latent: filled if it is informative."""
    colour = series_colour(latents["model"].iloc[0], float(latents["alpha"].iloc[0]))
    faces = np.where(latents["kl"] > INFORMATIVE_KL, colour, "white")
    ax.scatter(latents["rank"], values, s=12, c=faces, edgecolors=colour, linewidths=0.7, zorder=3)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_by_class(ax: Axes, latents: pd.DataFrame) -> None:
    columns = [name for name in latents if str(name).startswith(CLASS_COLUMN) and latents[name].notna().all()]
    shown = latents.head(MAX_BY_CLASS)[columns].to_numpy().T  # (classes, latents)
    extent = (0.5, shown.shape[1] + 0.5, len(shown) - 0.5, -0.5)
    ax.imshow(shown, vmin=0, vmax=1, cmap="Greys", aspect="auto", interpolation="nearest", extent=extent)
    ax.set_yticks(range(len(columns)), [str(name).removeprefix(CLASS_COLUMN) for name in columns], fontsize=7.5)
    ax.set_ylabel("class")
    ax.grid(visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set_title("P(z ≠ 0) by class: white 0, black 1", loc="left", fontsize=9.5)


FIGURE = Figure(
    title="What each latent does: its KL and how often it is not zero",
    compute=compute,
    plot=plot,
    shape=shape,
    panel_size=(3.6, 2.0),
    shares="",
    note=note,
)
