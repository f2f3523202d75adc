"""What stands under a figure: how to read it, which trials it shows and which it leaves out."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from analysis.drawing import plural
from analysis.series import finished_with, setting_label, varying_settings


def reading_note(frame: pd.DataFrame, shown: pd.DataFrame) -> str:
    """How to read a figure drawn from `frame`, which was computed from the trials `shown`."""
    if frame["individual"].any():
        names = ", ".join(setting_label(name) for name in varying_settings(shown))
        return f"Each trial on its own, no means: trials differ in {names}."
    many = bool((frame["n"] > 1).any())
    note = "Mean and 95% interval (Student t) over seeds." if many else "One seed: no interval."
    all_dims, dims = shown["latent_dim"].nunique(), sorted(frame["latent_dim"].unique())
    if len(dims) < all_dims:
        note += f" Latent dimensions {', '.join(f'{dim:g}' for dim in dims)} of {all_dims} are shown."
    return note


def trials_note(trials: pd.DataFrame, needs: Sequence[str]) -> str:
    """Dataset, number of trials, seeds and epochs; how many trials were left out, and why."""
    shown = finished_with(trials, needs)
    parts = [
        ", ".join(sorted(shown["dataset"].unique())),
        plural(len(shown), "finished trial"),
        plural(shown["seed"].nunique(), "seed"),
        _epochs(shown["epochs"]),
    ]
    unfinished = trials["status"][trials["status"] != "finished"].value_counts().sort_index()
    left_out = [f"{num:,} {status}" for status, num in unfinished.items()]
    lacking = int((trials["status"] == "finished").sum()) - len(shown)
    if lacking:
        finished = trials[trials["status"] == "finished"]
        names = [setting_label(name) for name in needs if finished[name].isna().any()]
        left_out.append(f"{lacking:,} without {' or '.join(names)}")
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    return " · ".join(parts)


def caption(trials: pd.DataFrame, needs: Sequence[str], frame: pd.DataFrame, *, width: int) -> str:
    """Both notes, wrapped to `width` characters."""
    notes = (reading_note(frame, finished_with(trials, needs)), trials_note(trials, needs))
    return "\n".join(line for note in notes for line in textwrap.wrap(note, width))


def _epochs(epochs: pd.Series) -> str:
    low, high = int(epochs.min()), int(epochs.max())
    return plural(high, "epoch") if low == high else f"{low:,} to {high:,} epochs"
