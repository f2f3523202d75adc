"""When a search ends before it has made all of its proposals: its hours or epochs are spent, or no gain is expected."""

from collections.abc import Collection, Iterable

from harness.ledger.result import Result, list_violated
from harness.ledger.trial import Trial
from harness.search.expected_gain import Observed, count_needed, expect_gain
from harness.search.space import SearchSpace
from harness.study import Study
from harness.study.sections import Stop

HOUR = 3600.0

Known = tuple[Trial, Result]


class Stopping:
    """The rules of `search.stop`; whichever is met first ends the search."""

    def __init__(self, stop: Stop, study: Study, space: SearchSpace) -> None:
        self._stop, self._study, self._space = stop, study, space
        self._known: list[Observed] = []
        self._gain = 0.0  # as expected of these, which takes seconds where they are hundreds

    def find_reason(
        self,
        ended: Collection[Known],
        learnt: Collection[Known],
        stored: Collection[Known],
        running: Iterable[tuple[float, float]],
    ) -> str:
        """Say why no more trials are to be proposed; empty if more are.

        ended: trials of the search. learnt: those of them that the next proposal learns from: epochs and gain are of
        these, so that they end a search with `at_once` at the same trial, whatever has ended by then.
        stored: of an earlier search, with which it began; they have cost it nothing.
        running: of those that run, when they were handed out and now, in seconds since 1970.
        """
        if self._stop.hours is not None:
            spans = [result.span for _, result in ended if result.span is not None]
            hours = measure_union([*spans, *running]) / HOUR
            if hours >= self._stop.hours:
                return f"its trials ran for {hours:.3g} hours (search.stop.hours: {self._stop.hours:g})"
        if self._stop.epochs is not None:
            epochs = sum(result.epochs_trained for _, result in learnt)
            if epochs >= self._stop.epochs:
                return f"its trials have trained {epochs} epochs (search.stop.epochs: {self._stop.epochs})"
        if self._stop.gain is not None:
            gain = self._expect_gain([*stored, *learnt])
            if gain is not None and gain < self._stop.gain:
                return (
                    f"the best next trial is expected to gain {gain:.2g} in {self._study.metric} "
                    f"(search.stop.gain: {self._stop.gain:g})"
                )
        return ""

    def _expect_gain(self, ended: Collection[Known]) -> float | None:
        """The gain expected of the best next trial; None where too few have a value that counts."""
        sign = 1 if self._study.mode == "max" else -1
        known = [
            Observed(*place[:2], sign * value, not list_violated(result, self._study.search.constraints))
            for trial, result in ended
            if result.status == "finished"
            and (value := result.last_value(self._study.metric)) is not None
            and (place := self._space.locate(trial)) is not None
        ]
        spaces = self._space.sub_spaces
        if len(known) < count_needed(spaces) or not any(one.is_allowed for one in known):
            return None
        if known != self._known:
            self._gain = expect_gain(spaces, known, seed=self._study.search.seed)
            self._known = known
        return self._gain


def measure_union(spans: Iterable[tuple[float, float]]) -> float:
    """Measure how long at least one of these spans lasted, each from its begin to its end."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
