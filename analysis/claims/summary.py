"""Verdicts as a table to read and as a frame to compute with."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.claims.judge import Part, Verdict
from analysis.wording import markdown_table, with_interval

HEAD = ["verdict", "claim, and how it is measured", "effect (95% interval)", "study", "section", "seeds"]
MOST_DECIMALS = 4
COLUMNS = [
    *("id", "section", "claim", "variant", "study", "verdict", "part", "part_verdict"),
    *("effect", "low", "high", "unit", "test", "threshold", "seeds", "reason", "note"),
]


def claims_table(verdicts: Sequence[Verdict]) -> str:
    """A row of Markdown for each claim and study: the verdict, and the part that decides it.

    The claim itself is said once for all of its variants, in the first of its rows.
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
                _escape(_format_effect(verdict)),
                f"`{verdict.study}`",
                claim.section,
                _count_seeds(verdict),
            ]
        )
    return markdown_table(HEAD, rows)


def format_outcome(verdict: Verdict) -> str:
    """The outcome, in bold where there is one."""
    return f"**{verdict.outcome}**" if verdict.outcome != "inconclusive" else verdict.outcome


def claims_frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """A row for each part of each verdict, or one without numbers where there is none."""
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        shared: dict[str, object] = {
            "id": claim.id,
            "section": claim.section,
            "claim": claim.claim,
            "variant": claim.variant,
        }
        shared |= {"study": verdict.study, "verdict": verdict.outcome, "test": claim.test, "threshold": claim.threshold}
        if not verdict.parts:
            rows.append(shared | {"reason": verdict.reason, "seeds": 0})
        for part in verdict.parts:
            measured: dict[str, object] = {
                "part": part.name,
                "part_verdict": part.outcome,
                "effect": part.mean,
                "low": part.low,
            }
            measured |= {"high": part.high, "unit": part.unit, "seeds": part.num_seeds}
            rows.append(shared | measured | {"reason": part.reason, "note": part.note})
    return pd.DataFrame(rows, columns=COLUMNS)


def format_part(part: Part) -> str:
    """The effect with its interval and unit, such as "3.2 (1.1 to 5.4) nats per image"."""
    if math.isnan(part.mean):
        return "no number"
    most = 2 if part.low == part.high else MOST_DECIMALS
    return f"{with_interval(part.mean, part.low, part.high, most=most)} {part.unit}".strip()


def _format_effect(verdict: Verdict) -> str:
    part = verdict.deciding
    texts = []
    if part is not None:
        note = f"; {part.note}" if part.note else ""
        texts.append(f"{format_part(part)} ({part.name}{note}{count_parts(verdict)})")
    return "; ".join([*texts, *([verdict.reason] if verdict.reason else [])])


def count_parts(verdict: Verdict) -> str:
    """How many of several parts are supported, as written behind the part that is shown."""
    num = sum(part.outcome == "supported" for part in verdict.parts)
    return f"; {num} of {len(verdict.parts)} parts supported" if len(verdict.parts) > 1 else ""


def _count_seeds(verdict: Verdict) -> str:
    counts = [part.num_seeds for part in verdict.parts]
    if not counts:
        return "0"
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _escape(text: str) -> str:
    """Escape bars, which would end the cell."""
    return text.replace("|", "\\|")
