"""One claim of studies/claims.yaml judged from made-up tables."""

from pathlib import Path

import pandas as pd

from analysis.claims import Verdict, judge_claims, load_claims
from analysis.tables import Tables
from tests.analysis.synthetic import SyntheticStudy

FILE = Path(__file__).parents[3] / "studies" / "claims.yaml"
CLAIMS = {claim.id: claim for claim in load_claims(FILE)}


def judge_one(claim_id: str, study: SyntheticStudy | Tables, name: str | None = None) -> Verdict:
    """The verdict on a claim of the study that tests it first."""
    claim, tables = CLAIMS[claim_id], study if isinstance(study, Tables) else study.tables()
    return judge_claims([claim], {name or claim.study[0]: tables})[0]


def keep(tables: Tables, which: pd.Series) -> Tables:
    return Tables(tables.trials[which], tables.history)
