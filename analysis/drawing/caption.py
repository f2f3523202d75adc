"""What stands under a figure: how to read it, which trials it shows and which it leaves out."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from analysis.tables.configurations import longest_of_each
from analysis.tables.series import one_seed_note, varying_settings
from analysis.wording import ALPHA, NATS, ONE_SEED, OWN_PRIORS, model_label, plural, setting_label, span

MEANS = "Mean and 95% interval (Student t) over seeds; dots: each seed."


def reading_note(frame: pd.DataFrame, shown: pd.DataFrame) -> str:
    """How to read a figure drawn from `frame`, which was computed from the trials `shown`."""
    if frame["individual"].any():
        names = ", ".join(setting_label(name) for name in varying_settings(shown))
        return f"Each trial on its own, no means: trials differ in {names}."
    note = means_note(frame)
    all_dims, dims = shown["latent_dim"].nunique(), sorted(frame["latent_dim"].unique())
    if len(dims) < all_dims:
        note += f" Latent dimensions {', '.join(f'{dim:g}' for dim in dims)} of {all_dims} are shown."
    return note


def means_note(frame: pd.DataFrame) -> str:
    """What the means and dots of a frame are, and their intervals, if there are any."""
    return MEANS + one_seed_note(frame) if (frame["n"] > 1).any() else ONE_SEED


def dots_note(frame: pd.DataFrame) -> str:
    """Likewise, where each trial is a dot in a row with its mean."""
    low, high = int(frame["n"].min()), int(frame["n"].max())
    if high == 1:
        return f"Dots are trials. {ONE_SEED}"
    seeds = span(low, high, "seed")
    return f"Dots are trials, one for each of {seeds}; bars are their mean and its 95% interval (Student t)."


def floor_note(frame: pd.DataFrame) -> str:
    """What a bound on grey pixels is, if the frame (column `floor`) knows their entropy; else nothing."""
    floor = float(frame["floor"].max()) if "floor" in frame else 0.0
    if not floor > 0:
        return ""
    return (
        "Grey pixels count as probabilities, so that the bound is one of a pseudo-likelihood: their own entropy, "
        f"{floor:.2f} {NATS}, is a cost that no model can do without."
    )


def name_models(frame: pd.DataFrame, *, with_alpha: bool) -> str:
    """The models of a frame that have an alpha, and so sparse codes, or those that have none; may be empty."""
    models = frame.loc[frame["alpha"].notna() == with_alpha, "model"]
    return " or ".join(model_label(model) for model in sorted(models.unique()))


def own_priors_note(frame: pd.DataFrame) -> str:
    """Which models of a frame have a prior that their setting alpha does not tell, after a space; may be empty."""
    models = frame.loc[frame["model"].isin(OWN_PRIORS), "model"]
    names = " or ".join(model_label(model) for model in sorted(models.unique()))
    return f" Not drawn of a {names}, whose setting {ALPHA} is not the prior's." if names else ""


def trials_note(
    trials: pd.DataFrame, needs: Sequence[str], statuses: Sequence[str] = ("finished",), *, all_lengths: bool = False
) -> str:
    """Dataset, number of trials, seeds and epochs; how many trials were left out, and why.

    all_lengths: shown are all trials that share a training, not the longest alone.
    """
    counted = trials[trials["status"].isin(statuses)]
    measured = counted.dropna(subset=list(needs))
    shown = measured if all_lengths else longest_of_each(measured)
    num_stopped, num_diverged = ((shown["status"] == status).sum() for status in ("stopped", "diverged"))
    parts = [
        ", ".join(sorted(shown["dataset"].unique())),
        plural(len(shown) - num_stopped - num_diverged, "finished trial"),
        *([f"{num_stopped:,} stopped early"] if num_stopped else []),
        *([f"{num_diverged:,} diverged"] if num_diverged else []),
        plural(shown["seed"].nunique(), "seed"),
        _epochs(shown["epochs_trained" if num_stopped else "epochs"]),
    ]
    others = trials["status"][~trials["status"].isin(statuses)].value_counts().sort_index()
    left_out = [f"{num:,} {status}" for status, num in others.items()]
    if len(measured) < len(counted):
        names = [setting_label(name) for name in needs if counted[name].isna().any()]
        left_out.append(f"{len(counted) - len(measured):,} without {' or '.join(names)}")
    if len(shown) < len(measured):
        left_out.append(f"{plural(len(measured) - len(shown), 'shorter one')} of the same trainings")
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    return " · ".join(parts)


def caption(notes: Sequence[str], *, width: int) -> str:
    """The notes one below the other, wrapped to `width` characters."""
    return "\n".join(line for note in notes for line in textwrap.wrap(note, width))


def _epochs(epochs: pd.Series) -> str:
    return span(int(epochs.min()), int(epochs.max()), "epoch")
