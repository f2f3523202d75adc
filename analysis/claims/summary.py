"""Verdicts as a table to read and as a frame to compute with."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.claims.quantity import Criterion
from analysis.claims.rates import OF_TRIALS
from analysis.claims.verdict import Part, Verdict
from analysis.wording import decimal, format_p, markdown_table, short_value, span, with_interval

HEAD = [
    "verdict",
    "claim, and how it is measured",
    "effect (95% interval)",
    "p (by Holm)",
    "study",
    "section",
    "seeds",
]
COLUMNS = [
    *("id", "section", "claim", "variant", "role", "study", "verdict", "before_holm", "p", "p_holm"),
    *("part", "part_role", "part_verdict", "effect", "low", "high", "unit", "test", "threshold", "paired", "seeds"),
    *("reason", "note"),
]
SIGNS = {"greater": ">", "less": "<", "equivalent": "within"}


def claims_table(verdicts: Sequence[Verdict], marked: Sequence[str] = ()) -> str:
    """A row of Markdown for each claim and study: the verdict, and the part that decides it.

    The claim itself is said once for all of its variants, in the first of its rows. marked: studies that get a dagger.
    """
    rows, said = [], ""
    for verdict in verdicts:
        claim = verdict.claim
        named = f"**{claim.claim}** {claim.variant}".strip() if claim.claim != said else claim.variant or "(likewise)"
        said = claim.claim
        rows.append(
            [
                format_outcome(verdict),
                _escape(named),
                _escape(format_effect(verdict)),
                format_ps(verdict),
                f"`{verdict.study}`{' †' if verdict.study in marked else ''}",
                claim.section,
                _count_seeds(verdict),
            ]
        )
    return markdown_table(HEAD, rows)


def format_outcome(verdict: Verdict) -> str:
    """The outcome, in bold where there is one; that of an exploratory claim is said to be."""
    outcome = f"**{verdict.outcome}**" if verdict.outcome != "undecided" else verdict.outcome
    if verdict.role == "exploratory":
        return f"{outcome} (exploratory)"
    return f"{outcome} (before Holm: {verdict.before_correction})" if verdict.lost else outcome


def format_ps(verdict: Verdict) -> str:
    """The p of a primary endpoint before the correction and behind it; nothing where nothing was measured."""
    if verdict.role == "exploratory" or not verdict.parts:
        return ""
    before, behind = (format_p(p).removeprefix("= ") for p in (verdict.p, verdict.p_corrected))
    return f"{before} ({behind})"


def claims_frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """A row for each part of each verdict, or one without numbers where there is none."""
    rows: list[dict[str, object]] = []
    for verdict in verdicts:
        claim = verdict.claim
        shared: dict[str, object] = {
            **{"id": claim.id, "section": claim.section, "claim": claim.claim, "variant": claim.variant},
            **{"role": verdict.role, "study": verdict.study, "verdict": verdict.outcome},
            **{"before_holm": verdict.before_correction, "p": verdict.p, "p_holm": verdict.p_corrected},
            "paired": claim.paired,
        }
        if not verdict.parts:
            rows.append(
                shared | {"test": claim.test, "threshold": claim.threshold, "seeds": 0, "reason": verdict.reason}
            )
        rows += [
            shared
            | {"part": part.name, "part_role": part.role, "part_verdict": part.outcome}
            | {"effect": part.mean, "low": part.low, "high": part.high, "unit": part.unit, "seeds": part.num_seeds}
            | {"test": part.criterion.test, "threshold": part.criterion.threshold}
            | {"reason": part.reason, "note": part.note}
            for part in verdict.parts
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def format_part(part: Part) -> str:
    """The effect with its interval and unit: "3.2 (1.1 to 5.4) nats per image", "70% (35% to 93%) of the trials"."""
    if math.isnan(part.mean):
        return "no number"
    if part.unit == OF_TRIALS:
        shares = [f"{100 * share:.0f}%" for share in (part.mean, part.low, part.high)]
        return f"{shares[0]} ({shares[1]} to {shares[2]}) {part.unit}"
    return f"{with_interval(part.mean, part.low, part.high)} {part.unit}".strip()


def format_criterion(criterion: Criterion) -> str:
    """What a part was to be, such as "> 0" and "within ±1"."""
    test, threshold = criterion
    sign = "±" if test == "equivalent" else ""
    value = short_value(threshold) if threshold >= 0 else decimal(threshold)
    return f"{SIGNS[test]} {sign}{value}"


def format_effect(verdict: Verdict) -> str:
    """The parts that decide a verdict, what each was to be, and the reason where there is one."""
    texts = []
    for part in verdict.shown:
        note = f"; {part.note}" if part.note else ""
        texts.append(f"{format_part(part)} ({part.name}; claimed {format_criterion(part.criterion)}{note})")
    if texts:
        texts[-1] = f"{texts[-1][:-1]}{count_parts(verdict)})"
    reason = "" if verdict.lost else verdict.reason  # else it stands beside the verdict
    return "; ".join([*texts, *([reason] if reason else [])])


def count_parts(verdict: Verdict) -> str:
    """How many of several parts hold, each by its own interval, and how many do not: written behind the part shown.

    A premise that holds is not counted: it says nothing for the claim.
    """
    parts = [part for part in verdict.judged_parts if not (part.is_premise and part.outcome == "supported")]
    if len(parts) < 2:
        return ""
    num_for, num_against = (sum(part.outcome == which for part in parts) for which in ("supported", "refuted"))
    holds, does = "holds" if num_for == 1 else "hold", "does" if num_against == 1 else "do"
    return f"; by their own intervals {num_for} of {len(parts)} parts {holds} and {num_against} {does} not"


def _count_seeds(verdict: Verdict) -> str:
    counts = [part.num_seeds for part in verdict.judged_parts] or [0]
    return span(min(counts), max(counts))


def _escape(text: str) -> str:
    """Escape bars, which would end the cell."""
    return text.replace("|", "\\|")
