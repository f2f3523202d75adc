"""One classifier on frozen codes, and its accuracy by model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.claims.curves import LEFT_OUT, Curve, trace_curves, union_of_dims
from analysis.claims.quantity import Frozen, UndecidableError
from analysis.wording import plural


class Probe(Frozen):
    """A probe, what it sees and how many labels it learns from.

    leave_out_dead: leave out the runs in which a logit died, which costs about ten points each (only report_coded has
    such logits).
    """

    probe: Literal["report_coded", "report_written", "linear", "mlp", "knn"]
    input: Literal["mu", "gamma_mu", "z"] = "mu"
    labels: Literal["5k", "all"] = "all"
    leave_out_dead: bool = False

    @property
    def words(self) -> str:
        """What a reader calls the classifier."""
        return WORDS[self.probe]

    @property
    def key(self) -> str:
        """The prefix of this probe's metrics."""
        return f"probe/{self.probe}_{self.input}_{self.labels}"

    def trace_accuracy(self, trials: pd.DataFrame) -> list[Curve]:
        """Test accuracy in percent; with the status "left out" where a logit died and such runs are left out."""
        curves = trace_curves(trials, f"{self.key}_accuracy")
        curves = [replace(curve, values=curve.values * 100) for curve in curves]
        if not self.leave_out_dead:
            return curves
        dead = f"{self.key}_dead_logits"
        if self._count_dead(trials) is None:
            raise UndecidableError(f"no finished trial has a value of {dead}")
        counts = trace_curves(trials, dead)
        return [
            replace(
                curve,
                values=np.where(num.values > 0, np.nan, curve.values),
                status=np.where(num.values > 0, LEFT_OUT, curve.status),
            )
            for curve, num in zip(curves, counts, strict=True)
        ]

    def describe_dead(self, trials: pd.DataFrame, *curves: Curve) -> str:
        """Describe in how many runs of these curves a logit died and what became of them; empty if not known."""
        if f"{self.key}_dead_logits" not in trials:
            return ""
        runs = trials[trials["latent_dim"].isin(union_of_dims(curves)) & (trials["status"] == "finished")]
        models = runs["model"].str.cat(runs["alpha"].map(str), sep=" ")
        runs = runs[models.isin([f"{curve.model} {curve.alpha}" for curve in curves])]
        num = self._count_dead(runs)
        if num is None:
            return ""
        text = f"a logit died in {num} of {plural(len(runs), 'run')}"
        return f"{text}, {'left out' if self.leave_out_dead else 'counted in'}" if num else text

    def _count_dead(self, trials: pd.DataFrame) -> int | None:
        dead = f"{self.key}_dead_logits"
        counts = trials.loc[trials["status"] == "finished"].get(dead)
        return None if counts is None or counts.isna().all() else int((counts > 0).sum())


WORDS = {
    "report_coded": "the report's probe",
    "report_written": "the report's probe as written",
    "linear": "logistic regression",
    "mlp": "a multilayer perceptron",
    "knn": "nearest neighbours",
}
ACCURACY_GAP = (-100.0, 100.0)  # between which a difference of two accuracies lies, in points


def join_parts(texts: Sequence[str]) -> str:
    """Join the texts that are not empty, each once."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
