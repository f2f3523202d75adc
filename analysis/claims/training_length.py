"""What training beyond the report's 20,000 iterations was worth, and to which model."""

from abc import abstractmethod

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from analysis.claims.curves import Curve, name_at, pick, say_missing, trace_curves, union_of_dims
from analysis.claims.quantity import Quantity, Sample, UndecidableError
from analysis.configurations import longest_of_each
from analysis.drawing import plural
from analysis.plateau import TAIL
from analysis.tables import Tables

NATS = "nats per image"


class AfterTheReport(Quantity):
    """What is measured on the test loss of each epoch (nats per image), of the longest trial of each training.

    iterations: after how many the report stopped. epochs: how many epochs that was to the report: 20,000 steps of 32
    images are 10.7 passes over 60,000, so 11. Where the training is too short for that many iterations, because there
    are fewer images, the epoch of the same number is taken instead.
    """

    iterations: int = 20_000
    epochs: int = 11

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class of the quantity."""
        trials = longest_of_each(tables.trials)
        history = tables.history.reindex(columns=["trial_id", "epoch", "step", "test/loss"])
        history = history[history["trial_id"].isin(trials["trial_id"])].sort_values(["trial_id", "epoch"])
        found = {trial_id: self._measure_training(own) for trial_id, own in history.groupby("trial_id")}
        values = trials["trial_id"].map({trial_id: value for trial_id, (value, _) in found.items()})
        if values.isna().all():
            longest = 0 if history.empty else int(history["epoch"].max())
            raise UndecidableError(
                "no training has a test loss for each epoch and goes on beyond the report's epoch "
                f"{self.epochs} (the longest has {plural(longest, 'epoch')})"
            )
        stops = {stop for value, stop in found.values() if np.isfinite(value)}
        epoch = f"from epoch {min(stops)}" if len(stops) == 1 else f"from epochs {min(stops)} to {max(stops)}"
        curves = trace_curves(trials.assign(**{"gain/nats": values}), "gain/nats")
        return self._compare(curves, f"{epoch} on")

    @abstractmethod
    def _gain(self, before: float, after: np.ndarray) -> float:
        """What happened after the report stopped.

        before: the loss where it stopped. after: the losses of later epochs, at least TAIL.
        """

    @abstractmethod
    def _compare(self, curves: list[Curve], note: str) -> list[Sample]:
        """The samples, from the gain of each trial."""

    def _measure_training(self, epochs: pd.DataFrame) -> tuple[float, int]:
        """The gain (NaN: too short, or a loss is missing), and the epoch at which the report would have stopped."""
        reached = epochs["epoch"][epochs["step"] >= self.iterations]
        stop = self.epochs if reached.empty else int(reached.iloc[0])
        losses = epochs["test/loss"].to_numpy(float)
        is_usable = len(losses) >= stop + TAIL and len(losses) == epochs["epoch"].iloc[-1] and np.isfinite(losses).all()
        return (self._gain(losses[stop - 1], losses[stop:]) if is_usable else np.nan), stop


class StillToGain(AfterTheReport):
    """The loss where the report stopped less the lowest level afterwards: parts by model, alpha and latent dimension.

    A level is the mean of a tenth of the later epochs, at least TAIL, as in `analysis.plateau`. The lowest of many
    levels is low by chance too, by about 0.2 nats with noise of 0.3 from epoch to epoch, so a threshold should be well
    above that.
    """

    def _gain(self, before: float, after: np.ndarray) -> float:
        levels = sliding_window_view(after, max(TAIL, len(after) // 10)).mean(axis=1)
        return float(before - levels.min())

    def _compare(self, curves: list[Curve], note: str) -> list[Sample]:
        return [
            Sample(name_at(own.name, dim), NATS, own.values[:, i], say_missing(own.at([dim])), note)
            for own in curves
            for i, dim in enumerate(own.dims)
        ]


class GapClosed(AfterTheReport):
    """By how much VSC loss less VAE loss shrank until the last epoch, paired by seed: by alpha and latent dimension."""

    def _gain(self, before: float, after: np.ndarray) -> float:
        return float(before - after[-1])

    def _compare(self, curves: list[Curve], note: str) -> list[Sample]:
        dims, vae = union_of_dims(curves), pick(curves, "vae")[0]
        return [
            Sample(
                name_at(vsc.name, dim),
                NATS,
                # (VSC before - VAE before) - (VSC after - VAE after), in another order
                (vsc.at([dim]).values - vae.at([dim]).values)[:, 0],
                say_missing(vsc.at([dim]), vae.at([dim])),
                note,
            )
            for vsc in pick(curves, "vsc")
            for dim in dims
        ]
