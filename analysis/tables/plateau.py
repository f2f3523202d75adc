"""From which epoch on is a loss as low as training gets it, within a tolerance?

The losses of single epochs carry noise (about 0.3 nats per image) and now and then a spike, so all is judged on a
running median, which a lone spike does not move and which, unlike a running mean, keeps a falling curve where it is.
Levels are its means over a tenth of the epochs, at least TAIL of them. Three shapes are told apart:

- flat at the end: the plateau is the mean of the last tenth;
- risen again by more than half the tolerance, through overfitting: the plateau is the lowest mean of a tenth, and
  what comes after it does not count;
- still falling: entry in the second half means that the last half of training was still worth more than the
  tolerance. The next half might be too, so there is no plateau to speak of yet.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

MIN_EPOCHS = 10  # in fewer, noise hides whether the last half is flat
TAIL = 3  # epochs over which a level is taken, at least
HALF_WINDOW = 2  # the running median is over 5 epochs


def plateau_epochs(history: pd.DataFrame) -> pd.Series:
    """The `epoch_of_plateau` of each trial by trial_id, NaN for None: of test/loss, or else of negative val/elbo."""
    columns = history.reindex(columns=["trial_id", "epoch", "test/loss", "val/elbo"]).sort_values("epoch")
    losses = columns["test/loss"].fillna(-columns["val/elbo"])
    curves = losses.groupby(columns["trial_id"])
    found = {trial_id: epoch_of_plateau(curve.to_numpy(float)) for trial_id, curve in curves}
    return pd.Series(found, dtype="float64", name="plateau")


def epoch_of_plateau(losses: Sequence[float] | np.ndarray, within: float = 1.0) -> int | None:
    """The first epoch (from 1) from which on the losses, one per epoch, stay `within` nats of their plateau.

    None where the curve has fewer than MIN_EPOCHS epochs, has a value that is not finite, or still falls.
    """
    curve = np.asarray(losses, float)
    if len(curve) < MIN_EPOCHS or not np.isfinite(curve).all():
        return None
    width = max(TAIL, len(curve) // 10)
    smooth = _running_median(curve)
    levels = sliding_window_view(smooth, width).mean(axis=1)
    best, last = int(levels.argmin()), len(levels) - 1
    rises_again = levels[last] > levels[best] + within / 2
    if not rises_again:
        best = last
    until = best + width  # epochs that count
    above = np.flatnonzero(smooth[:until] > levels[best] + within)
    entry = int(above[-1]) + 2 if len(above) else 1
    is_known = entry <= until and (rises_again or entry <= (len(curve) + 1) // 2)
    return entry if is_known else None


def _running_median(curve: np.ndarray) -> np.ndarray:
    """Medians of centred windows, narrower towards the start, where a curve falls; at the end it is mirrored."""
    mirrored = np.append(curve, curve[-2 : -2 - HALF_WINDOW : -1])
    medians = curve.copy()
    for half in range(1, HALF_WINDOW + 1):
        windows = sliding_window_view(mirrored, 2 * half + 1)
        medians[half:] = np.median(windows, axis=1)[: len(curve) - half]
    return medians
