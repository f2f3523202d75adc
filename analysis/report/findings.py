"""The answer of the page: the few findings that are most certain, the weightiest first."""

from collections.abc import Mapping, Sequence

from analysis.claims import Verdict
from analysis.report.blocks import Finding, Findings, Picture
from analysis.wording import dataset_label

MOST = 8
UNDECIDED = 4


def pick_findings(
    verdicts: Sequence[Verdict], pictures: Mapping[tuple[str, str], Picture], datasets: Mapping[str, str]
) -> Findings:
    """At most MOST claims that were decided, each once, in the order of the claims, which is one of weight.

    Chosen are corrected verdicts first, then those before the correction, then what is exploratory, and of it what is
    mixed last; among equals the smallest p. What was found on other images stands beside.

    verdicts: in the order of the claims. pictures: by study and figure. datasets: of each study.
    """
    said: dict[str, Verdict] = {}
    for verdict in sorted(
        (one for one in verdicts if _rank(one) < UNDECIDED and one.shown), key=lambda v: (_rank(v), v.p)
    ):
        said.setdefault(verdict.claim.claim, verdict)
    chosen = sorted(list(said.values())[:MOST], key=verdicts.index)
    return Findings(
        [
            Finding(
                one,
                pictures.get((one.study, one.claim.figure)),
                dataset_label(datasets[one.study]),
                ", ".join(
                    f"on {dataset_label(datasets[other.study])} {other.outcome}"
                    for other in verdicts
                    if other.claim.id == one.claim.id and other.study != one.study and not other.is_of_missing_study
                ),
            )
            for one in chosen
        ]
    )


def _rank(verdict: Verdict) -> int:
    if verdict.role == "exploratory":
        return {"supported": 2, "refuted": 2, "mixed": 3, "undecided": UNDECIDED}[verdict.outcome]
    if verdict.outcome != "undecided":
        return 0
    return 1 if verdict.before_correction != "undecided" else UNDECIDED
