"""Disentanglement scores in tables: their names, and where they lie between noise and perfect codes."""

from collections.abc import Mapping

import pandas as pd

SCORES: Mapping[str, str] = {
    "factor_vae": "FactorVAE score",
    "beta_vae": "BetaVAE score",
    "mig": "MIG",
    "sap": "SAP",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "modularity": "modularity",
    "explicitness": "explicitness",
    "info_modularity": "InfoM (modularity)",
    "info_compactness": "InfoC (compactness)",
    "info_explicitness": "InfoE (explicitness)",
}
"""As figures call them. In a table `disentanglement/<name>`, and with _floor and _ceiling behind it those of noise with
as many latents and of the factors themselves, by the same measure."""


MIN_SPAN = 0.2
"""Least distance of a score's floor from its ceiling, as a share of the ceiling, that a score can be told by. In what
counts shares of information, such as InfoM, noise in one or two latents can score as perfect codes do."""


def column_of(score: str, reference: str) -> str:
    """The column of a score. reference: floor, ceiling, or "" for the score itself."""
    return f"disentanglement/{score}_{reference}" if reference else f"disentanglement/{score}"


def scale_score(trials: pd.DataFrame, score: str) -> pd.Series | None:
    """A score by trial, from 0 for its floor to 1 for its ceiling; None if no finished trial has one.

    Scores differ in what noise has (modularity some .67) and in what perfect codes have (discrete SAP .25). NaN where
    floor and ceiling are nearer to each other than MIN_SPAN.
    """
    columns = [column_of(score, reference) for reference in ("", "floor", "ceiling")]
    if not set(columns) <= set(trials) or trials.loc[trials["status"] == "finished", columns[0]].isna().all():
        return None
    value, floor, ceiling = (trials[column].astype(float) for column in columns)
    span = ceiling - floor
    return ((value - floor) / span).where(span >= MIN_SPAN * ceiling)
