"""What training beyond the report's 20,000 iterations was worth, and to which model."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from analysis.claims.curves import (
    Curve,
    as_not_run,
    compare_at,
    describe_missing,
    name_at,
    pick,
    sample_curves,
    trace_curves,
    union_of_dims,
)
from analysis.claims.quantity import Quantity, Sample, UndecidableError
from analysis.metrics import metric_of
from analysis.tables import Tables
from analysis.tables.configurations import longest_of_each
from analysis.tables.plateau import TAIL
from analysis.tables.reported_numbers import EPOCHS
from analysis.wording import NATS, plural, span


class StillToGain(Quantity):
    """The loss where the report stopped less the lowest level afterwards: parts by model, alpha, latent dimension.

    The loss is what training minimises (relaxed samples, so that a VSC's is lower than its true bound would have it),
    of the longest trial of each training: of test images after an epoch, or in training, as the mean over an epoch's
    batches (`metric: train/loss`). A level is the mean of a tenth of the later epochs, at least TAIL, as in
    `analysis.tables.plateau`. The lowest of many levels is low by chance too, by about 0.2 nats with noise of 0.3 from
    epoch to epoch, so a threshold should be well above that.

    iterations: after how many the report stopped. epochs: how many epochs that was to the report: 20,000 steps of 32
    images are 10.7 passes over 60,000, so 11. Where the training is too short for that many iterations, because there
    are fewer images, the epoch of the same number is taken instead.
    """

    metric: Literal["test/loss", "train/loss"] = "test/loss"
    iterations: int = 20_000
    epochs: int = EPOCHS

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        trials = longest_of_each(tables.trials)
        history = tables.history.reindex(columns=["trial_id", "epoch", "step", self.metric])
        history = history[history["trial_id"].isin(trials["trial_id"])].sort_values(["trial_id", "epoch"])
        found = {trial_id: self._measure_training(epochs) for trial_id, epochs in history.groupby("trial_id")}
        values = trials["trial_id"].map({trial_id: value for trial_id, (value, _) in found.items()})
        if values.isna().all():
            longest = 0 if history.empty else int(history["epoch"].max())
            raise UndecidableError(
                f"no training has a {self.metric} for each epoch and goes on beyond the report's epoch "
                f"{self.epochs} (the longest has {plural(longest, 'epoch')})"
            )
        stops = {stop for value, stop in found.values() if np.isfinite(value)}
        note = f"from {'epoch' if len(stops) == 1 else 'epochs'} {span(min(stops), max(stops))} on"
        return sample_curves(trace_curves(trials.assign(**{"gain/nats": values}), "gain/nats"), NATS, note=note)

    def _measure_training(self, epochs: pd.DataFrame) -> tuple[float, int]:
        """The gain (NaN: too short, or a loss is missing), and the epoch at which the report would have stopped."""
        reached = epochs["epoch"][epochs["step"] >= self.iterations]
        stop = self.epochs if reached.empty else int(reached.iloc[0])
        losses = epochs[self.metric].to_numpy(float)
        if len(losses) < stop + TAIL or len(losses) != epochs["epoch"].iloc[-1] or not np.isfinite(losses).all():
            return np.nan, stop
        levels = sliding_window_view(losses[stop:], max(TAIL, (len(losses) - stop) // 10)).mean(axis=1)
        return float(losses[stop - 1] - levels.min()), stop


class GapClosed(Quantity):
    """By how much the VAE's lead over the VSC shrinks between two lengths of training: by alpha and latent dimension.

    That is what the VSC gains less what the VAE gains. metric: a bound, of trials that end after `epochs`, as the
    report's did, and of longer ones, among which the longest of each training counts.
    """

    metric: str
    epochs: int = EPOCHS

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        lengths, note = _trace_lengths(tables.trials, self.metric, self.epochs)
        dims = union_of_dims([curve for curves in lengths for curve in curves])
        vaes = [pick(curves, "vae")[0].at(dims) for curves in lengths]
        samples = []
        for alpha in sorted({curve.alpha for curves in lengths for curve in pick(curves, "vsc")}):
            vscs = [pick(curves, "vsc", [alpha])[0].at(dims) for curves in lengths]
            of_vsc, of_vae = (after.values - before.values for before, after in (vscs, vaes))
            for i, dim in enumerate(dims):
                lacks = describe_missing(*(curve.at([dim]) for curve in (*vaes, *vscs)))
                name = name_at(f"gain of {vscs[0].name}, less that of the VAE,", dim)
                gains = of_vsc[:, i], of_vae[:, i]
                unit = metric_of(self.metric).unit_or_whole
                samples.append(Sample(name, unit, *gains, dim, (alpha,), lacks=lacks, note=note))
        return samples


class BoundGained(Quantity):
    """A bound after the longest training less that after the report's: a part for each model, alpha and latent_dim."""

    metric: str
    epochs: int = EPOCHS

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        lengths, note = _trace_lengths(tables.trials, self.metric, self.epochs)
        places = {(curve.name, dim): curve for of_length in lengths for curve in of_length for dim in curve.dims}
        samples = []
        for (name, dim), either in places.items():
            before, after = (
                next((curve for curve in of_length if curve.name == name), as_not_run(either)) for of_length in lengths
            )
            samples.append(compare_at(name, metric_of(self.metric).unit_or_whole, after, before, dim, note=note))
        return samples


def _trace_lengths(trials: pd.DataFrame, metric: str, epochs: int) -> tuple[list[list[Curve]], str]:
    """The curves of a metric after so many epochs, those after the longest training, and a note that says which.

    Raises:
        UndecidableError: no trial has the one length or the other.
    """
    short, long = trials[trials["epochs"] == epochs], longest_of_each(trials[trials["epochs"] > epochs])
    for rows, which in ((short, "ends after"), (long, "goes on beyond")):
        if rows.empty:
            raise UndecidableError(f"no trial {which} the report's {plural(epochs, 'epoch')}")
    curves = [trace_curves(rows, metric, of=trials) for rows in (short, long)]
    return curves, f"from epoch {epochs} to {int(long['epochs'].max())}"
