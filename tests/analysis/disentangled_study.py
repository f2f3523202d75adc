"""A made-up study of models on several objectives, with their disentanglement scores."""

import numpy as np

from analysis.tables.disentanglement import SCORES
from tests.analysis.synthetic import SyntheticStudy

NO_ALPHA = float("nan")
FLOOR, CEILING = 0.2, 0.8


def make_study(scores: tuple[str, ...] = tuple(SCORES), seeds: int = 3) -> SyntheticStudy:
    """VAEs, a beta-VAE, a FactorVAE with two weights, and VSCs with two alphas, of 10 and 100 latents."""
    study = SyntheticStudy()
    for seed in range(seeds):
        study.add("vae", 10, seed)
        study.add("vae", 10, seed, beta=4.0)
        for weight in (10.0, 40.0):
            study.add("factor_vae", 10, seed, tc_weight=weight)
        for alpha in (0.01, 0.1):
            for dim in (10, 100):
                study.add("vsc", dim, seed, alpha, estimator="relaxed")
    for row, history in zip(study.trials, study.history, strict=True):
        row.setdefault("tc_weight", np.nan)
        row.setdefault("estimator", None)
        row["disentanglement/num_active"] = 7.0
        for i, score in enumerate(scores):
            value = 0.3 + 0.01 * i + 0.02 * row["seed"] + 0.1 * (row["model"] == "vsc")
            ends = {f"{score}_floor": FLOOR, f"{score}_ceiling": CEILING}
            row |= {f"disentanglement/{name}": one for name, one in ({score: value} | ends).items()}
        is_factor = row["model"] == "factor_vae"
        history["train/total_correlation"] = 1.0 if is_factor else np.nan
    return study
