"""From the samples of a claim to its verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from analysis.claims.claim import Claim
from analysis.claims.quantity import MIN_SEEDS, Sample, UndecidableError
from analysis.errors import describe_error
from analysis.tables import Tables, of_search
from analysis.tables.intervals import COVERAGE, mean_interval
from analysis.wording import plural

QUICK = "-quick"
MISMEASURED = "an error in measuring it"

Outcome = Literal["supported", "not supported", "inconclusive"]
_Interval = tuple[float, float, float, int]  # mean, low, high, number of seeds


@dataclass(frozen=True)
class Part:
    """One part of a claim: its effect with a 95% interval over seeds.

    mean, low, high: in `unit`; NaN where there is no number, or one seed alone. margin: distance of the mean from the
    threshold towards the claim, in half-widths of the interval; 1 and more is supported.
    """

    name: str
    unit: str
    mean: float
    low: float
    high: float
    num_seeds: int
    margin: float
    outcome: Outcome
    reason: str  # why it is inconclusive, if it is
    note: str


@dataclass(frozen=True)
class Verdict:
    """A claim as one study has it: supported if all parts are, not supported if any is decidedly against it.

    "All" needs no correction for how many parts there are. "Any" has none either: of many parts that lie close to the
    threshold, one may be against by chance, so look at which one it is (`deciding`).
    """

    claim: Claim
    study: str
    outcome: Outcome
    parts: tuple[Part, ...]
    reason: str = ""  # why it is inconclusive, if it is

    @property
    def is_of_missing_study(self) -> bool:
        """Whether there is nothing to judge by, since the study has not been run."""
        return not self.parts and self.reason == _describe_missing(self.study)

    @property
    def deciding(self) -> Part | None:
        """The part to show, of those with the verdict's outcome.

        Of a supported claim, which holds in every part, the one where it holds by least (by least surely, where parts
        are of different units); else the one that is most surely against it.
        """
        alike = [part for part in self.parts if part.outcome == self.outcome]
        if self.outcome == "supported" and len({part.unit for part in alike}) == 1:
            return min(alike, key=lambda part: abs(part.mean - self.claim.threshold))
        return min(alike, key=lambda part: float("inf") if math.isnan(part.margin) else part.margin, default=None)


def _describe_missing(study: str) -> str:
    return f"study {study} has not been run"


def judge_claims(claims: Sequence[Claim], tables: Mapping[str, Tables]) -> list[Verdict]:
    """A verdict for each claim and each study that tests it, in the order of the claims.

    tables: by name of the study. For a study that is not among them, its quick form is judged, by that name.
    """
    searched = {name: of_search(one) for name, one in tables.items()}
    measured = [_measure(claim, study, searched) for claim in claims for study in claim.study]
    samples = [sample for one in measured for sample in one.samples]
    intervals = iter(_compute_intervals(samples))  # of all at once, which is quicker
    return [_judge(one, [next(intervals) for _ in one.samples]) for one in measured]


@dataclass(frozen=True)
class _Measured:
    claim: Claim
    study: str
    samples: Sequence[Sample] = ()
    reason: str = ""  # why there is none, if there is none


def _measure(claim: Claim, study: str, tables: Mapping[str, Tables]) -> _Measured:
    name = next((name for name in (study, study + QUICK) if name in tables), None)
    if name is None:
        return _Measured(claim, study, reason=_describe_missing(study))
    try:
        return _Measured(claim, name, claim.build_quantity().measure(tables[name]))
    except UndecidableError as reason:
        return _Measured(claim, name, reason=str(reason))
    except Exception as error:  # whatever it is, the other claims are judged
        return _Measured(claim, name, reason=f"{MISMEASURED} ({describe_error(error)})")


def _judge(measured: _Measured, intervals: Sequence[_Interval]) -> Verdict:
    claim, study, samples = measured.claim, measured.study, measured.samples
    parts = tuple(_judge_part(claim, *both) for both in zip(samples, intervals, strict=True))
    outcomes = {part.outcome for part in parts}
    if "not supported" in outcomes:
        return Verdict(claim, study, "not supported", parts)
    if outcomes == {"supported"}:
        return Verdict(claim, study, "supported", parts)
    reasons = list(dict.fromkeys(part.reason for part in parts if part.outcome == "inconclusive"))
    more = f" (and {plural(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else ""
    return Verdict(claim, study, "inconclusive", parts, f"{reasons[0]}{more}" if reasons else measured.reason)


def _judge_part(claim: Claim, sample: Sample, interval: _Interval) -> Part:
    mean, low, high, num_seeds = interval
    # From here on, greater is better and the threshold is zero.
    sign = 1 if claim.test == "greater" else -1
    towards = sign * (mean - claim.threshold)
    worst, best = sorted((sign * (low - claim.threshold), sign * (high - claim.threshold)))
    half = best - towards if towards < 0 else towards - worst
    margin = towards / half if half else float("inf") * (1 if towards > 0 else -1)
    outcome: Outcome = "inconclusive"
    reason = ""
    if sample.lacks:
        reason = f"missing: {sample.lacks}"
    elif num_seeds < MIN_SEEDS:
        reason = f"{plural(num_seeds, 'seed')} where {MIN_SEEDS} are needed"
    elif worst > 0:
        outcome = "supported"
    elif best < 0:
        outcome = "not supported"
    else:
        reason = f"the interval {'spans' if low < high else 'is'} {claim.threshold:g}"
    return Part(sample.part, sample.unit, mean, low, high, num_seeds, margin, outcome, reason, sample.note)


def _compute_intervals(samples: Sequence[Sample]) -> list[_Interval]:
    """Mean, 95% interval and number of seeds of each sample: Student's t, or exact for a share."""
    if not samples:
        return []
    place = np.repeat(np.arange(len(samples)), [len(sample.by_seed) for sample in samples])
    frame = pd.DataFrame({"part": place, "value": np.concatenate([sample.by_seed for sample in samples])})
    found = mean_interval(frame, "value", by=["part"]).set_index("part")
    found = found.reindex(range(len(samples))).fillna({"n": 0})
    intervals = []
    for sample, (mean, low, high, n) in zip(samples, found.to_numpy(float).tolist(), strict=True):
        if sample.is_share and n > 0:
            intervals.append(compute_share_interval(round(mean * n), int(n)))
        else:
            least, most = sample.limits
            intervals.append((mean, max(low, least), min(high, most), int(n)))
    return intervals


def compute_share_interval(num: int, of: int) -> _Interval:
    """num / of with its exact 95% interval (Clopper and Pearson 1934), and `of`."""
    tail = (1 - COVERAGE) / 2
    low = float(betaincinv(num, of - num + 1, tail)) if num else 0.0
    high = float(betaincinv(num + 1, of - num, 1 - tail)) if num < of else 1.0
    return num / of, low, high, of
