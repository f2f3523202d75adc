"""The report's claims, each with a verdict computed from the tables of the studies that test it.

`studies/claims.yaml` says what is claimed and by which quantity it is measured; each kind of quantity has a file here.
"""

from analysis.claims.claim import Claim, ClaimsError, load_claims
from analysis.claims.judge import MISMEASURED, judge_claims
from analysis.claims.summary import claims_frame, claims_table
from analysis.claims.verdict import Part, Verdict
from analysis.tables.significance import MIN_SEEDS, Outcome

__all__ = [
    "MIN_SEEDS",
    "MISMEASURED",
    "Claim",
    "ClaimsError",
    "Outcome",
    "Part",
    "Verdict",
    "claims_frame",
    "claims_table",
    "judge_claims",
    "load_claims",
]
