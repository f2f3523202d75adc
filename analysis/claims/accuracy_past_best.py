"""Is the VSC's accuracy above the VAE's past the VAE's best latent dimension, and how much of that is the probe's?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from analysis.claims.curves import Curve, describe_missing, mean_of_rows, name_at, pick, union_of_dims
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample, UndecidableError
from analysis.tables import Tables
from analysis.wording import POINTS, decimal

LEVEL_WITHIN = 1.0  # points


class AccuracyPastBest(Quantity):
    """The VSC's accuracy less the VAE's, paired by seed (percentage points).

    A part for each latent dimension beyond the one where the VAE's accuracy levels off (`find_level`).
    less_under: the same under another probe, at the same latent dimensions, is taken away: what is left is what the
    first probe adds to the claim. alpha: of the VSC, the first of these that the study has.
    """

    under: Probe
    less_under: Probe | None = None
    alpha: tuple[float, ...] = Field(strict=False, min_length=1)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        start = find_level(vae)
        notes = [f"the VAE levels off at {vae.dims[start]}", self.under.describe_dead(tables.trials, vae, vsc)]
        others = None
        if self.less_under is not None:
            others = [curve.at(vae.dims) for curve in trace_both(tables, self.less_under, self.alpha)]
            notes.append(self.less_under.describe_dead(tables.trials, vae, vsc))
        return [self._measure_at(dim, (vae, vsc), others, join_parts(notes)) for dim in vae.dims[start + 1 :]]

    def _measure_at(self, dim: int, both: Sequence[Curve], others: Sequence[Curve] | None, note: str) -> Sample:
        vae, vsc = (curve.at([dim]) for curve in both)
        gap, missing = (vsc.values - vae.values)[:, 0], [describe_missing(*map(forgive_left_out, (vae, vsc)))]
        if others is not None:
            vae, vsc = (curve.at([dim]) for curve in others)
            less = (vsc.values - vae.values)[:, 0]
            note = join_parts([self._describe_share(gap, less), note])
            gap = gap - less
            missing.append(describe_missing(*map(forgive_left_out, (vae, vsc))))
        return Sample(name_at(both[1].name, dim), POINTS, gap, join_parts(missing), note)

    def _describe_share(self, gap: NDArray[np.float64], less: NDArray[np.float64]) -> str:
        """Describe the mean gap under each probe, over the seeds that have both."""
        assert self.less_under is not None
        is_both = np.isfinite(gap - less)
        if not is_both.any():
            return ""
        mean, other_mean = (decimal(values[is_both].mean()) for values in (gap, less))
        return f"{mean} points under {self.under.probe}, {other_mean} under {self.less_under.probe}"


def find_level(vae: Curve) -> int:
    """The index of the first latent dimension at which the mean over seeds is within 1 point of the best.

    The best itself will not do: where the accuracy hardly changes, chance decides which one that is, and the latent
    dimensions beyond it are worse by chance alone.

    Raises:
        UndecidableError: that is the largest, and nothing lies beyond.
    """
    means = mean_of_rows(vae.values.T)
    level = int((means >= np.nanmax(means) - LEVEL_WITHIN).argmax())
    if level == len(vae.dims) - 1:
        raise UndecidableError(f"the VAE's accuracy levels off at {vae.dims[-1]}, the largest latent dimension")
    return level


def trace_both(tables: Tables, probe: Probe, alphas: Sequence[float]) -> tuple[Curve, Curve]:
    """The accuracy of the VAE and of the VSC with one of these alphas, at the latent dimensions of either.

    Raises:
        UndecidableError: the study lacks either, or the VAE has no accuracy.
    """
    curves = probe.trace_accuracy(tables.trials)
    vae, vsc = pick(curves, "vae")[0], pick(curves, "vsc", alphas)[0]
    if np.isnan(vae.values).all():
        raise UndecidableError(f"no VAE has a value of {probe.key}_accuracy")
    dims = union_of_dims([vae, vsc])
    return vae.at(dims), vsc.at(dims)


def join_parts(texts: list[str]) -> str:
    """Join the texts that are not empty, each once."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
