"""What is found of a claim, and of each of its parts."""

from dataclasses import dataclass
from typing import Literal

from analysis.claims.claim import Claim
from analysis.claims.quantity import Criterion
from analysis.tables.significance import Outcome

Role = Literal["primary", "exploratory"]


@dataclass(frozen=True)
class Part:
    """One part of a claim: its effect with a 95% interval over seeds.

    mean, low, high: in `unit`; NaN where there is no number, or one seed alone. p_for, p_against: see
    `analysis.tables.significance.Estimate`. outcome: of this part by itself: supported where the interval lies wholly
    on the claim's side of the threshold, refuted where wholly on the other, else undecided.
    """

    name: str
    unit: str
    criterion: Criterion
    mean: float
    low: float
    high: float
    num_seeds: int
    p_for: float
    p_against: float
    role: Role
    is_premise: bool
    outcome: Outcome
    reason: str  # why it is undecided, if it is
    note: str


@dataclass(frozen=True)
class Verdict:
    """A claim as one study has it, by the definitions of `analysis.tables.significance.decide`.

    The parts of its primary endpoint decide it, at a level that Holm's method takes from how many primary endpoints
    there are in all. An exploratory one is decided by all of its parts, at the level of one claim alone.

    p: of the claim, before the correction, and p_corrected behind it; both 1 where nothing could be measured, and
    p_corrected is p where the claim is exploratory.
    """

    claim: Claim
    study: str
    role: Role
    outcome: Outcome
    before_correction: Outcome
    p: float
    p_corrected: float
    parts: tuple[Part, ...]
    reason: str = ""  # why it is undecided, if it is, or which premise fails

    @property
    def is_of_missing_study(self) -> bool:
        """Whether there is nothing to judge by, since the study has not been run."""
        return not self.parts and self.reason == describe_not_run(self.study)

    @property
    def lost(self) -> str:
        """What the correction takes from it, such as "supported before Holm"; nothing where it takes nothing."""
        return f"{self.before_correction} before Holm" if self.outcome != self.before_correction else ""

    @property
    def judged_parts(self) -> tuple[Part, ...]:
        """The parts that decide it."""
        return tuple(part for part in self.parts if self.role == "exploratory" or part.role == "primary")

    @property
    def shown(self) -> list[Part]:
        """The parts to show: the one that supports it least, or the one most surely against it, or of each the surest.

        The last of a mixed claim. What is shown of an undecided claim that would be decided without the correction is
        what decides it there.
        """
        parts = [part for part in self.judged_parts if part.num_seeds]
        outcome = self.before_correction if self.outcome == "undecided" else self.outcome
        if not parts:
            return []
        against = min(parts, key=lambda part: part.p_against)
        if outcome == "mixed":  # for which a premise says nothing
            return [min((part for part in parts if not part.is_premise), key=lambda part: part.p_for), against]
        if outcome == "refuted":
            failing = [part for part in parts if part.is_premise and part.outcome == "refuted"]
            return [failing[0] if failing and self.reason else against]
        return [max(parts, key=lambda part: (part.p_for, -abs(part.mean - part.criterion.threshold)))]


def describe_not_run(study: str) -> str:
    """The reason for a verdict on a study that is not there."""
    return f"study {study} has not been run"
