"""One classifier on frozen codes, and its accuracy by model."""

from typing import Literal

import pandas as pd

from analysis.claims.curves import Curve, trace_curves
from analysis.claims.quantity import Frozen, UndecidableError
from analysis.drawing import plural


class Probe(Frozen):
    """A probe, what it sees and how many labels it learns from.

    leave_out_dead: without the runs in which a logit died, which costs about ten points each (only report_coded has
    such logits).
    """

    probe: Literal["report_coded", "report_written", "linear", "mlp", "knn"]
    input: Literal["mu", "gamma_mu", "z"] = "mu"
    labels: Literal["5k", "all"] = "all"
    leave_out_dead: bool = False

    @property
    def key(self) -> str:
        """How metrics of this probe begin."""
        return f"probe/{self.probe}_{self.input}_{self.labels}"

    def trace_accuracy(self, trials: pd.DataFrame) -> list[Curve]:
        """Test accuracy in percent; with the status "left out" where a logit died and such runs are left out."""
        curves = trace_curves(trials, f"{self.key}_accuracy")
        curves = [Curve(own.model, own.alpha, own.values * 100, own.status) for own in curves]
        if not self.leave_out_dead:
            return curves
        dead = f"{self.key}_dead_logits"
        if self._count_dead(trials) is None:
            raise UndecidableError(f"no finished trial has a value of {dead}")
        counts = trace_curves(trials, dead)
        return [
            Curve(own.model, own.alpha, own.values.mask(num.values > 0), own.status.mask(num.values > 0, LEFT_OUT))
            for own, num in zip(curves, counts, strict=True)
        ]

    def say_dead(self, trials: pd.DataFrame) -> str:
        """In how many runs a logit died and what became of them, or nothing where no such thing is counted."""
        num = self._count_dead(trials)
        if num is None:
            return ""
        fate = ("left out" if self.leave_out_dead else "counted in") if num else ""
        runs = f"a logit died in {num} of {plural(int((trials['status'] == 'finished').sum()), 'run')}"
        return f"{runs}, {fate}" if fate else runs

    def _count_dead(self, trials: pd.DataFrame) -> int | None:
        dead = f"{self.key}_dead_logits"
        counts = trials.loc[trials["status"] == "finished"].get(dead)
        return None if counts is None or counts.isna().all() else int((counts > 0).sum())


LEFT_OUT = "left out"


def forgive_left_out(own: Curve) -> Curve:
    """The curve for `say_missing`: a run that was left out on purpose is not missing."""
    return Curve(own.model, own.alpha, own.values.mask(own.status == LEFT_OUT, 0.0), own.status)
