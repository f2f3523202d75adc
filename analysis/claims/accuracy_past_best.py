"""Is the VSC's accuracy above the VAE's past the VAE's best latent dimension, and how much of that is the probe's?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from analysis.claims.curves import (
    Curve,
    find_best_of_others,
    mean_where,
    pick,
    say_best,
    say_missing,
    say_too_few,
    union_of_dims,
)
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables
from analysis.wording import decimal

UNIT = "points"
NOTHING_PAST = "a latent dimension past the VAE's best, which is the largest there is"


class AccuracyPastBest(Quantity):
    """The VSC's accuracy less the VAE's, paired by seed (percentage points): the mean past the best, and at the end.

    Past the best: the mean over all latent dimensions larger than the one at which the VAE's accuracy is best. Which
    that is, the other seeds say (`find_best_of_others`): chosen by its own numbers, the VAE would fall afterwards by
    chance alone. The largest latent dimension needs no choice, and so is a part of its own.
    less_under: the same under another probe, at the same latent dimensions, is taken away: what is left is what the
    first probe adds to the claim. alpha: of the VSC, the first of these that the study has.
    """

    under: Probe
    less_under: Probe | None = None
    alpha: tuple[float, ...] = Field(strict=False, min_length=1)

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        vae, vsc = trace_both(tables, self.under, self.alpha)
        best = find_best_of_others(vae.values)
        is_past = np.arange(len(vae.dims)) > best[:, None]
        gap, missing = vsc.values - vae.values, [say_missing(*map(forgive_left_out, (vae, vsc)))]
        notes = [f"the VAE is best at {say_best(vae.dims, best)}", self.under.say_dead(tables.trials, vae, vsc)]
        if self.less_under is None:
            past, end = mean_where(gap, is_past), gap[:, -1]
            shares = ["", ""]
        else:
            # The first probe says what lies past the best, so that both are asked about the same latent dimensions.
            others = [own.at(vae.dims) for own in trace_both(tables, self.less_under, self.alpha)]
            less = others[1].values - others[0].values
            missing.append(say_missing(*map(forgive_left_out, others)))
            notes.append(self.less_under.say_dead(tables.trials, vae, vsc))
            past, end = mean_where(gap - less, is_past), gap[:, -1] - less[:, -1]
            is_last = np.arange(len(vae.dims)) == len(vae.dims) - 1
            shares = [self._say_share(gap, less, is_used) for is_used in (is_past, is_last)]
        lacks, note = join_parts(missing), join_parts(notes)
        no_past = lacks or say_too_few(best < len(vae.dims) - 1, NOTHING_PAST)
        largest = f"{vsc.name}: at latent dimension {vae.dims[-1]}, the largest"
        return [
            Sample(f"{vsc.name}: past the VAE's best", UNIT, past, no_past, join_parts([shares[0], note])),
            Sample(largest, UNIT, end, lacks, join_parts([shares[1], note])),
        ]

    def _say_share(self, gap: NDArray[np.float64], less: NDArray[np.float64], is_used: NDArray[np.bool_]) -> str:
        """The mean over seeds of either probe's gap, where both have one."""
        assert self.less_under is not None
        is_both = is_used & np.isfinite(gap - less)
        own, other = (mean_where(values, is_both) for values in (gap, less))
        if np.isnan(own).all():
            return ""
        first, second = f"{decimal(np.nanmean(own))} points under {self.under.probe}", decimal(np.nanmean(other))
        return f"{first}, {second} under {self.less_under.probe}"


def trace_both(tables: Tables, probe: Probe, alphas: Sequence[float]) -> tuple[Curve, Curve]:
    """The accuracy of the VAE and of the VSC with one of these alphas, at the latent dimensions of either."""
    curves = probe.trace_accuracy(tables.trials)
    vae, vsc = pick(curves, "vae")[0], pick(curves, "vsc", alphas)[0]
    dims = union_of_dims([vae, vsc])
    return vae.at(dims), vsc.at(dims)


def join_parts(texts: list[str]) -> str:
    """What there is to say, each thing once."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
