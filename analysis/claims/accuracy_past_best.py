"""Is the VSC's accuracy above the VAE's past the VAE's best latent dimension, and how much of that is the probe's?"""

import pandas as pd

from analysis.claims.curves import best_dims_of_others, pick, say_dims, say_missing, say_too_few, union_of_dims
from analysis.claims.probe import Probe, forgive_left_out
from analysis.claims.quantity import Quantity, Sample
from analysis.tables import Tables
from analysis.wording import decimal

POINTS = "points"
NOTHING_PAST = "a latent dimension past the VAE's best, which is the largest there is"


class AccuracyPastBest(Quantity):
    """The VSC's accuracy less the VAE's, paired by seed (percentage points): the mean past the best, and at the end.

    Past the best: the mean over all latent dimensions larger than the one at which the VAE's accuracy is best. Which
    that is, the other seeds say (`best_dims_of_others`): chosen by its own numbers, the VAE would fall afterwards by
    chance alone. The largest latent dimension needs no choice, and so is a part of its own.
    less_under: the same under another probe, at the same latent dimensions, is taken away: what is left is what the
    first probe adds to the claim.
    """

    under: Probe
    less_under: Probe | None = None
    alpha: float

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        gap, best, lacks = self._compare(tables, self.under)
        # Which latent dimensions lie past the best is the first probe's matter, so that both are asked about the same.
        is_past = pd.DataFrame({dim: best < dim for dim in gap.columns}, index=gap.index)
        last = gap.columns[-1]
        notes = [f"the VAE is best at {say_dims(best)}", self.under.say_dead(tables.trials)]
        shares = ["", ""]
        past, end = gap.where(is_past).mean(axis=1), gap[last]
        if self.less_under is not None:
            other, _, others_lack = self._compare(tables, self.less_under)
            lacks = "; ".join(dict.fromkeys(text for text in (lacks, others_lack) if text))
            is_in_both = is_past & gap.notna() & other.notna()
            past, other_past = (own.where(is_in_both).mean(axis=1) for own in (gap, other))
            other_end = other[last]
            shares = [self._say_share(*both) for both in ((past, other_past), (end, other_end))]
            past, end = past - other_past, end - other_end
            notes.append(self.less_under.say_dead(tables.trials))
        name, note = pick(self.under.trace_accuracy(tables.trials), "vsc", self.alpha)[0].name, _join(notes)
        lacks_past = lacks or say_too_few(is_past.any(axis=1), NOTHING_PAST)
        return [
            Sample(f"{name}: past the VAE's best", POINTS, past, lacks_past, _join([shares[0], note])),
            Sample(f"{name}: at latent dimension {last}, the largest", POINTS, end, lacks, _join([shares[1], note])),
        ]

    def _compare(self, tables: Tables, probe: Probe) -> tuple[pd.DataFrame, pd.Series, str]:
        """VSC less VAE by seed and latent dimension, the VAE's best latent dimension by seed, and what is missing."""
        curves = probe.trace_accuracy(tables.trials)
        dims = union_of_dims(curves)
        vae, vsc = (pick(curves, model, alpha)[0].at(dims) for model, alpha in (("vae", None), ("vsc", self.alpha)))
        lacks = say_missing(forgive_left_out(vae), forgive_left_out(vsc))
        return vsc.values - vae.values, best_dims_of_others(vae.values), lacks

    def _say_share(self, own: pd.Series, other: pd.Series) -> str:
        assert self.less_under is not None
        first, second = self.under.probe, self.less_under.probe
        return f"{decimal(own.mean())} points under {first}, {decimal(other.mean())} under {second}"


def _join(notes: list[str]) -> str:
    return "; ".join(note for note in notes if note)
